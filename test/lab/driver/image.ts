// Builds the lab's disk from Debian packages, once for every recipe.

import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { cache, guestFiles } from './paths.js';
import { say, step } from './progress.js';
import { recipe } from './recipe.js';

/** `dir` holds disk.raw (never written again), vmlinuz and initrd. */
export interface Image {
  readonly dir: string;
  readonly disk: string;
  readonly kernel: string;
  readonly initrd: string;
}

export async function image(): Promise<Image> {
  const dir = join(cache, await recipeHash());
  const made = { dir, disk: join(dir, 'disk.raw'), kernel: join(dir, 'vmlinuz'), initrd: join(dir, 'initrd') };
  if (await exists(made.disk)) {
    await utimes(dir, new Date(), new Date());
    return made;
  }
  if (process.getuid?.() !== 0) throw new Error('the lab image can be built by root only: sudo npm run lab');
  await mkdir(cache, { recursive: true });
  await forgetOldImages();
  const work = `${dir}.${process.pid}.tmp`;
  await rm(work, { recursive: true, force: true });
  try {
    say(`building the lab image in ${dir} (a few minutes, once)`);
    await build(work);
    await rename(work, dir).catch(async (error: unknown) => {
      if (!(await exists(made.disk))) throw error; // otherwise somebody else was quicker
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return made;
}

async function build(work: string): Promise<void> {
  const host = join(work, 'host');
  const seats = Object.entries(recipe.seats).map(([name, seat]) => ({ name, ...seat, root: join(work, name) }));
  await mkdir(work, { recursive: true });
  const uri = await mirror();
  await step(`packages from ${uri} (${seats.length + 1} file systems at once)`, (note) =>
    Promise.all([
      debootstrap(host, recipe.suite, uri, recipe.host, (line) => note(`host: ${line}`), [
        `--essential-hook=mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"`,
        `--essential-hook=echo MODULES=list > "$1/etc/initramfs-tools/conf.d/lab"`,
        `--essential-hook=printf '%s\\n' ${recipe.initrdModules.join(' ')} > "$1/usr/share/initramfs-tools/modules.d/lab"`,
      ]),
      ...seats.map(({ root, suite, packages }) => debootstrap(root, suite, uri, packages, () => undefined, [])),
    ]),
  );
  await step('finishing touches', async () => {
    await finishHost(host);
    await mkdir(join(host, 'srv'), { recursive: true });
    for (const { name, root } of seats) {
      await mask(root, recipe.seatMasks);
      await maskGenerators(root, recipe.seatGenerators);
      await writeFile(join(root, 'etc/hostname'), 'seat\n');
      await writeFile(join(root, 'etc/machine-id'), '');
      await upToDate(root);
      await rename(root, join(host, 'srv', name));
    }
    const boot = await readdir(join(host, 'boot'));
    for (const [prefix, name] of [
      ['vmlinuz-', 'vmlinuz'],
      ['initrd.img-', 'initrd'],
    ] as const) {
      const found = boot.find((file) => file.startsWith(prefix));
      if (!found) throw new Error(`no ${prefix}* in the guest's /boot`);
      await cp(join(host, 'boot', found), join(work, name));
    }
  });
  await step('making the disk', () =>
    execa('mkfs.ext4', ['-q', '-F', '-d', host, '-L', 'lab', join(work, 'disk.raw'), recipe.diskSize]),
  );
  await rm(host, { recursive: true, force: true });
}

async function debootstrap(
  dir: string,
  suite: string,
  uri: string,
  packages: readonly string[],
  note: (line: string) => void,
  hooks: string[],
): Promise<void> {
  // In a mount namespace of its own: it mounts /proc and /sys below `dir`, and what removes `dir` after a failure must not
  // walk into them.
  const run = execa(
    'unshare',
    [
      ...['--mount', '--', 'mmdebstrap'],
      ...recipe.options,
      '--keyring=/usr/share/keyrings/debian-archive-keyring.gpg',
      ...hooks,
      `--include=${packages.join(',')}`,
      suite,
      dir,
      uri,
    ],
    // Thousands of programs start here: those of the system, not the wrappers of somebody's PATH, and none reads a locale.
    { all: true, stdin: 'ignore', env: { LC_ALL: 'C', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } },
  );
  for await (const line of run.iterable({ from: 'all' })) if (line.startsWith('I:')) note(line.slice(2).trim());
  await run;
}

async function finishHost(root: string): Promise<void> {
  const put = (path: string, text: string) => writeFile(join(root, path), text);
  await put('etc/hostname', 'lab\n');
  await put('etc/hosts', '127.0.0.1 localhost lab\n');
  await put('etc/fstab', '/dev/vda / ext4 defaults,noatime 0 1\n');
  await put('etc/machine-id', 'b0b1b2b3b4b5b6b7b8b9babbbcbdbebf\n');
  await mkdir(join(root, 'etc/systemd/journald.conf.d'), { recursive: true });
  await put(
    'etc/systemd/journald.conf.d/lab.conf',
    '[Journal]\nStorage=volatile\nRuntimeMaxUse=64M\nRateLimitBurst=0\n',
  );
  await mkdir(join(root, 'opt/lab'), { recursive: true });
  await cp(join(guestFiles, 'baked/guest.mjs'), join(root, 'opt/lab/guest.mjs'));
  await cp(join(guestFiles, 'baked/hotseat-lab.service'), join(root, 'etc/systemd/system/hotseat-lab.service'));
  const wants = join(root, 'etc/systemd/system/multi-user.target.wants');
  await mkdir(wants, { recursive: true });
  await symlink('../hotseat-lab.service', join(wants, 'hotseat-lab.service'));
  await quickNode(root);
  await upToDate(root);
  await mask(root, recipe.hostMasks);
  await maskGenerators(root, recipe.hostGenerators);
  // Enabled by their packages: they start when a test asks for them.
  for (const wanted of ['multi-user.target.wants', 'sockets.target.wants']) {
    const dir = join(root, 'etc/systemd/system', wanted);
    for (const unit of await readdir(dir))
      if (recipe.idle.some((name) => unit.startsWith(name))) await rm(join(dir, unit));
  }
}

/**
 * Whether this machine's Node begins with a snapshot of its own start. Debian's is built without: each start of it compiles all of
 * Node's own JavaScript, which takes an emulated PC a second.
 */
const hasSnapshot = (process.config.variables as Readonly<Record<string, unknown>>)['node_use_node_snapshot'] === true;

/** Gives the PC this machine's Node in place of Debian's where that is the quicker one. `install.test.ts` takes Debian's. */
async function quickNode(root: string): Promise<void> {
  if (!hasSnapshot) return;
  const node = join(root, 'usr/bin/node');
  await rename(node, join(root, 'opt/lab/debian-node'));
  await cp(process.execPath, node, { dereference: true });
  const { stdout } = await execa('chroot', [root, '/usr/bin/node', '--version']);
  if (stdout !== process.version) throw new Error(`this machine's Node does not run in the PC: ${stdout}`);
}

/** Spares each start what systemd does once after /usr has changed: ldconfig, the journal's catalog (systemd.unit(5)). */
async function upToDate(root: string): Promise<void> {
  for (const directory of ['etc', 'var']) await writeFile(join(root, directory, '.updated'), '');
}

async function mask(root: string, units: readonly string[]): Promise<void> {
  for (const unit of units) {
    const path = join(root, 'etc/systemd/system', unit);
    await rm(path, { force: true });
    await symlink('/dev/null', path);
  }
}

async function maskGenerators(root: string, names: readonly string[]): Promise<void> {
  const directory = join(root, 'etc/systemd/system-generators');
  await mkdir(directory, { recursive: true });
  for (const name of names) await symlink('/dev/null', join(directory, `systemd-${name}-generator`));
}

/** The mirror that this machine uses itself. */
async function mirror(): Promise<string> {
  const asked = ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'];
  const { stdout = '' } = await execa('apt-get', asked, { reject: false });
  return stdout.split('\n').find((uri) => /^https?:.*\/debian\/?$/.test(uri)) ?? 'http://deb.debian.org/debian';
}

async function recipeHash(): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(recipe));
  if (hasSnapshot) hash.update(`\0node ${process.version}`);
  const baked = join(guestFiles, 'baked');
  for (const file of (await readdir(baked)).sort())
    hash.update(`\0${file}\0`).update(await readFile(join(baked, file)));
  return hash.digest('hex').slice(0, 16);
}

async function forgetOldImages(): Promise<void> {
  for (const name of await readdir(cache)) {
    const path = join(cache, name);
    const { mtimeMs } = await stat(path);
    if (Date.now() - mtimeMs > 14 * 24 * 3600_000) await rm(path, { recursive: true, force: true });
  }
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
