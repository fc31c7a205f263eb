// Makes a fresh Debian 12 or 13 ready: packages, dependencies, build. `node test/setup.mjs [--lab] [--deb]`, no dependencies.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const lab = process.argv.includes('--lab');
const say = (text) => process.stderr.write(`setup: ${text}\n`);

function run(name, command, args, env = {}) {
  const start = Date.now();
  say(`${name} …`);
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) {
    say(`${name}: FAILED (${error?.message ?? `exit code ${status}`}): ${command} ${args.join(' ')}`);
    process.exit(1);
  }
  say(`${name}: ${((Date.now() - start) / 1000).toFixed(1)} s`);
}

// 1. Debian packages
const wanted = ['g++', 'make', 'python3', 'libudev-dev', 'libseat1', 'udev', 'git'];
if (process.argv.includes('--deb')) wanted.push('lintian');
if (lab) wanted.push('mmdebstrap', 'e2fsprogs', 'debian-archive-keyring');
// QEMU 10 emulates the lab's PC 1.6 times as fast as the 7.2 of Debian 12, whose cmpxchg16b is wrong as well.
const qemu = ['qemu-system-x86', 'qemu-utils'];
const needsBackports = lab && /^VERSION_CODENAME=bookworm$/m.test(text('/etc/os-release'));
if (lab && !needsBackports) wanted.push(...qemu);
// biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg's own placeholders
const query = spawnSync('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\\n', ...wanted], {
  encoding: 'utf8',
});
if (query.error) {
  say(`this is not Debian (${query.error.message}); needed are the equivalents of: ${wanted.join(' ')}`);
} else {
  const there = new Set(
    query.stdout
      .split('\n')
      .filter((line) => line.endsWith(' installed'))
      .map((line) => line.split(' ')[0]),
  );
  const missing = wanted.filter((name) => !there.has(name));
  if (missing.length === 0) {
    say(`Debian packages: all ${wanted.length} there`);
  } else if (process.getuid() !== 0) {
    say(
      `Debian packages are missing. Run this, then start again:\n\n  sudo apt-get install -y --no-install-recommends ${missing.join(' ')}\n`,
    );
    process.exit(2);
  } else {
    const quiet = { DEBIAN_FRONTEND: 'noninteractive' };
    const install = ['install', '-y', '-qq', '--no-install-recommends', ...missing];
    run('apt-get update', 'apt-get', ['update', '-qq'], quiet);
    run(`installing ${missing.join(' ')}`, 'apt-get', install, quiet);
  }
}

if (needsBackports && qemuVersion() < 10) {
  if (process.getuid() === 0) fromBackports(qemu);
  else {
    say(`As root, start again, or install ${qemu.join(' ')} from bookworm-backports`);
    process.exit(2);
  }
}

/** The major version of the QEMU that is installed; 0 if none is. */
function qemuVersion() {
  const { stdout } = spawnSync('qemu-system-x86_64', ['--version'], { encoding: 'utf8' });
  return Number(/version (\d+)/.exec(stdout ?? '')?.[1] ?? 0);
}

/** Installs packages from Debian 12's backports, without a lasting change to apt's sources. */
function fromBackports(packages) {
  const directory = mkdtempSync(join(tmpdir(), 'hotseat-setup-'));
  try {
    const list = join(directory, 'sources.list');
    const backports = `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror()} bookworm-backports main`;
    writeFileSync(list, `${text('/etc/apt/sources.list')}\n${backports}\n`);
    const apt = ['-o', `Dir::Etc::sourcelist=${list}`];
    const quiet = { DEBIAN_FRONTEND: 'noninteractive' };
    run('apt-get update, with bookworm-backports', 'apt-get', [...apt, 'update', '-qq'], quiet);
    const install = ['install', '-y', '-qq', '--no-install-recommends', '-t', 'bookworm-backports', ...packages];
    run(`installing ${packages.join(' ')} from bookworm-backports`, 'apt-get', [...apt, ...install], quiet);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Where this machine has its Debian packages from. */
function mirror() {
  const asked = ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'];
  const uris = spawnSync('apt-get', asked, { encoding: 'utf8' }).stdout?.split('\n') ?? [];
  return uris.find((uri) => /^https?:.*\/debian\/?$/.test(uri)) ?? 'http://deb.debian.org/debian';
}

function text(path) {
  return existsSync(path) && statSync(path).isFile() ? readFileSync(path, 'utf8') : '';
}

// 2. npm packages. npm writes node_modules/.package-lock.json last.
const installed = join(root, 'node_modules/.package-lock.json');
const locked = join(root, 'package-lock.json');
if (existsSync(installed) && (!existsSync(locked) || statSync(installed).mtimeMs >= statSync(locked).mtimeMs)) {
  say('npm packages: up to date');
} else {
  // With Node's headers at hand, node-gyp has nothing to download.
  const config = spawnSync('npm', ['config', 'get', 'nodedir'], { cwd: root, encoding: 'utf8' });
  const configured = config.stdout?.trim();
  const prefix = ['/usr', dirname(dirname(process.execPath))].find((dir) =>
    existsSync(join(dir, 'include/node/node.h')),
  );
  const env = prefix && (!configured || configured === 'undefined') ? { npm_config_nodedir: prefix } : {};
  run('npm packages', 'npm', [existsSync(locked) ? 'ci' : 'install', '--no-audit', '--no-fund'], env);
}

// 3. build
run('build', 'npm', ['run', '--silent', 'build']);
