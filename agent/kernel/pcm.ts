/** Where the kernel describes the PCM streams among nodes of sound cards, by node. */
export const streamFiles = (nodes: readonly string[], asound = '/proc/asound'): ReadonlyMap<string, string> =>
  new Map(
    nodes.flatMap((node): [string, string][] => {
      const [, card, device] = /^pcmC(\d+)D(\d+[pc])$/.exec(node) ?? [];
      return card === undefined ? [] : [[node, `${asound}/card${card}/pcm${device}/info`]];
    }),
  );

/**
 * Whether somebody has a PCM stream open; a mapping keeps one open that no descriptor leads to any more. Says the kernel
 * (sound/core/pcm.c, snd_pcm_proc_info_read).
 */
export function isOpenStream(info = ''): boolean {
  const [count, free] = ['count', 'avail'].map(
    (what) => new RegExp(`^subdevices_${what}: (\\d+)$`, 'm').exec(info)?.[1],
  );
  return count !== free;
}
