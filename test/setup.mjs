// Makes a fresh Debian 12 or 13 ready: packages, dependencies, build. `node test/setup.mjs [--lab] [--deb]`, no dependencies.

import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
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
const wanted = ['g++', 'make', 'python3', 'libudev-dev', 'git'];
if (process.argv.includes('--deb')) wanted.push('lintian');
if (lab) wanted.push('qemu-system-x86', 'qemu-utils', 'mmdebstrap', 'e2fsprogs', 'debian-archive-keyring');
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
