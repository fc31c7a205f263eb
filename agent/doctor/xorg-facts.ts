import type { Namespaces } from '../kernel/namespaces.js';
import type { ProcessRef } from '../kernel/process-key.js';
import type { XorgFacts } from './facts.js';

/** Where Xorg looks for its configuration, in the order that it reads it (xorg.conf.d(5)); files of Debian's and others'. */
const directories = ['usr/share/X11/xorg.conf.d', 'etc/X11/xorg.conf.d'];
const single = 'etc/X11/xorg.conf';
const programs = ['usr/lib/xorg', 'usr/libexec'];
const drivers = ['usr/lib/xorg/modules/input', 'usr/lib64/xorg/modules/input'];
/** A container's own words are not trusted to be few, or short: bytes, and names in a directory. */
const longest = { bytes: 256 * 1024, names: 1000 };

/**
 * The configuration of Xorg in a container, read without following a link; undefined where there is no Xorg; or why it
 * cannot be read.
 */
export async function xorgFacts(
  namespaces: Namespaces,
  init: ProcessRef,
): Promise<XorgFacts | { readonly unread: string } | undefined> {
  const list = async (directory: string): Promise<string[]> =>
    (await namespaces.listDirectory(init, directory, longest.names)) ?? [];
  try {
    const found = (await Promise.all(programs.map(list))).flat();
    if (!found.includes('Xorg')) return undefined;
    const paths: string[] = [];
    for (const directory of directories) {
      const names = (await list(directory)).filter((name) => name.endsWith('.conf')).sort();
      paths.push(...names.map((name) => `${directory}/${name}`));
    }
    const files: { path: string; text: string }[] = [];
    for (const path of [...paths, single]) {
      const text = await namespaces.readFile(init, path, longest.bytes);
      if (text !== undefined) files.push({ path: `/${path}`, text });
    }
    return { files, drivers: (await Promise.all(drivers.map(list))).flat() };
  } catch (error) {
    return { unread: (error as Error).message };
  }
}
