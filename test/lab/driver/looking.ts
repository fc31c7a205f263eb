// How the guest looks again and again whether something is so, without taking the time of the awaited thing.

/** `nap SECONDS`: a pause without a process of its own, which costs an emulated PC as much as many a look. */
const nap = 'exec {never}<> <(:); nap() { read -rt "$1" -u "$never" || :; };';

/** Bash that ends when none of these patterns names a file any more. */
export const untilGone = (patterns: readonly string[]): string => {
  const looks = patterns.map((pattern) => `compgen -G '${pattern}'`);
  return `${nap} while ${looks.join(' || ')}; do nap 0.05; done > /dev/null`;
};

/** Bash that ends when `script` succeeds, with its standard output. It rests twice as long as it looks. */
export const untilSo = (script: string): string => `${nap}
  while began=\${EPOCHREALTIME/[.,]/}; ! said=$(${script}\n); do
    rest=$(((\${EPOCHREALTIME/[.,]/} - began) * 2 + 50000))
    printf -v rest %d.%06d $((rest / 1000000)) $((rest % 1000000))
    nap "$rest"
  done
  printf %s "$said"`;
