import type { ExitCode, Verb, Verbs } from './verb.js';

/** The words that a shell offers behind a verb. */
const wordsOf = ({ options, choices = [] }: Verb): string =>
  [...choices, ...Object.keys(options).map((key) => `--${key}`), '--help'].join(' ');

/** Text within single quotes, for every shell here. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

function bash(verbs: Verbs): string {
  return `# bash completion for hotseat: made by "hotseat completion bash"
_hotseat() {
  local current=\${COMP_WORDS[COMP_CWORD]} words
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    words=${quoted(Object.keys(verbs).join(' '))}
  else
    case \${COMP_WORDS[1]} in
${Object.entries(verbs)
  .map(([name, verb]) => `      ${name}) words=${quoted(wordsOf(verb))} ;;`)
  .join('\n')}
      *) return ;;
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o default -F _hotseat hotseat
`;
}

function zsh(verbs: Verbs): string {
  const label = (text: string): string => text.replace(/[[\]:]/g, ' ');
  const described = Object.entries(verbs).map(([name, { summary }]) => quoted(`${name}:${label(summary)}`));
  const arms = Object.entries(verbs).map(([name, { options, choices }]) => {
    const flags = Object.entries(options).map(([key, { type, help }]) =>
      quoted(`--${key}[${label(help)}]${type === 'string' ? ':value:_files' : ''}`),
    );
    const rest = choices === undefined ? "'*:file:_files'" : quoted(`1:word:(${choices.join(' ')})`);
    return `    ${name}) _arguments ${[...flags, "'--help[help]'", rest].join(' ')} ;;`;
  });
  return `#compdef hotseat
# zsh completion for hotseat: made by "hotseat completion zsh"
_hotseat() {
  local -a verbs=(${described.join(' ')})
  if ((CURRENT == 2)); then
    _describe verb verbs
    return
  fi
  local verb=$words[2]
  shift words
  ((CURRENT--))
  case $verb in
${arms.join('\n')}
  esac
}
if [[ $funcstack[1] == _hotseat ]]; then _hotseat "$@"; else compdef _hotseat hotseat; fi
`;
}

function fish(verbs: Verbs): string {
  // fish has its own rules inside of single quotes: a backslash quotes.
  const text = (words: string): string => `'${words.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const lines = Object.entries(verbs).flatMap(([name, { summary, options, choices = [] }]) => {
    const behind = `complete -c hotseat -n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c hotseat -n __fish_use_subcommand -f -a ${name} -d ${text(summary)}`,
      ...choices.map((choice) => `${behind} -f -a ${choice}`),
      ...Object.entries(options).map(
        ([key, { type, help }]) => `${behind} -l ${key}${type === 'string' ? ' -r' : ''} -d ${text(help)}`,
      ),
    ];
  });
  return `# fish completion for hotseat: made by "hotseat completion fish"\n${lines.join('\n')}\n`;
}

const shells: Readonly<Record<string, (verbs: Verbs) => string>> = { bash, zsh, fish };

/** The completion script for our command line; undefined for an unknown shell. */
export const completionOf = (shell: string, verbs: Verbs): string | undefined =>
  Object.hasOwn(shells, shell) ? shells[shell]?.(verbs) : undefined;

/** `hotseat completion`. */
export const completion = (verbs: () => Verbs): Verb => ({
  summary: 'print the completion script for a shell',
  usage: 'completion bash|zsh|fish',
  options: {},
  choices: Object.keys(shells),
  examples: [
    { line: 'completion bash', help: 'the package installs this in /usr/share/bash-completion/completions' },
    { line: 'completion zsh', help: 'for a file named _hotseat in the $fpath' },
  ],
  run: async ({ words: [shell = ''] }): Promise<ExitCode> => {
    const text = completionOf(shell, verbs());
    if (text === undefined) throw new Error(`name the shell: ${Object.keys(shells).join(', ')}`);
    process.stdout.write(text);
    return 0;
  },
});
