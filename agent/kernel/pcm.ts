import { readOptional } from './read.js';

/**
 * Of nodes of sound cards, by name, the PCM streams that somebody has open; a mapping keeps one open that no descriptor leads
 * to any more. Says the kernel (sound/core/pcm.c, snd_pcm_proc_info_read).
 */
export const openStreams = (nodes: readonly string[]): string[] =>
  nodes.filter((node) => {
    const [, card, device] = /^pcmC(\d+)D(\d+[pc])$/.exec(node) ?? [];
    if (card === undefined) return false;
    const info = readOptional(`/proc/asound/card${card}/pcm${device}/info`) ?? '';
    const [count, free] = ['count', 'avail'].map(
      (what) => new RegExp(`^subdevices_${what}: (\\d+)$`, 'm').exec(info)?.[1],
    );
    return count !== free;
  });
