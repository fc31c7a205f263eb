// Builds dist/hotseat_VERSION_ARCH.deb from a built checkout. Usage: deb.js [--version VERSION]

import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { execaSync } from 'execa';
import { completionOf } from '../../agent/cli/completion.js';
import { manPage } from '../../agent/cli/man.js';
import { verbs } from '../../agent/cli/verbs.js';
import { installedFiles, packaged } from '../../agent/install/files.js';
import { natives, runtimePackages } from './dependencies.js';

const checkout = resolve(import.meta.dirname, '../../..');
const text = (...path: string[]): string => readFileSync(join(checkout, ...path), 'utf8');
const run = (command: string, ...args: string[]): string => execaSync(command, args, { cwd: checkout }).stdout;

const { values } = parseArgs({ options: { version: { type: 'string' } } });
/** Debian's revision behind the program's version: this is no package of Debian's own. */
const version = values.version ?? `${(JSON.parse(text('package.json')) as { version: string }).version}-1`;
const arch = run('dpkg', '--print-architecture');
/** The same sources make the same package (reproducible-builds.org/specs/source-date-epoch). */
const date = new Date(Number(process.env['SOURCE_DATE_EPOCH'] ?? run('git', 'log', '-1', '--format=%ct')) * 1000);
const maintainer = `${process.env['DEBFULLNAME'] ?? 'The Hotseat authors'} <${process.env['DEBEMAIL'] ?? 'hotseat@packages.invalid'}>`;
/** Far from the checkout, whose packages Node would find from here as well. */
const stage = mkdtempSync(join(tmpdir(), 'hotseat-deb-'));

function put(path: string, content: string | Buffer, mode = 0o644): void {
  const at = join(stage, path);
  mkdirSync(dirname(at), { recursive: true });
  writeFileSync(at, content);
  chmodSync(at, mode);
}

/** Copies plain files below a directory, without what only people, compilers and debuggers read. */
function copyTree(from: string, to: string): void {
  for (const entry of readdirSync(from, { withFileTypes: true, recursive: true })) {
    const source = join(entry.parentPath, entry.name);
    const name = relative(from, source);
    if (!entry.isFile() || unwanted(name)) continue;
    const target = join(stage, to, name);
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(source, target);
    chmodSync(target, 0o644);
  }
}

const unwanted = (name: string): boolean =>
  /(^|\/)node_modules\//.test(name) ||
  /\.(map|[cm]?ts|o|a|d|mk|cc|c|hh|h|inc|gyp|md|markdown|yml|iml|sh|bat|html|tsbuildinfo|code)$/i.test(name) ||
  /^(test|tests|samples|docs?|examples?|benchmarks?|browser|bin|man|musl_x64|musl_arm64|build\/Release\/.+|lib\/native)\//.test(
    name,
  ) ||
  /(^|\/)(\.[^/]+|Makefile|CHANGELOG.*|config\.gypi|package-lock\.json)(\/|$)/.test(name) ||
  // Programs for a package's own authors.
  /^(bin\.m?js$|cnoke\.cjs$|src\/koffi\/src\/trampolines\.cjs$)/.test(name);

const gzip = (content: string): Buffer => gzipSync(content, { level: 9 });

// The program. Node looks beside it for packages that are not bundled, and package.json says that it is modules.
const bundle = join(packaged.program, 'dist/hotseat');
copyTree(join(checkout, 'dist/hotseat'), bundle);
// By Debian's Node alone, for which the package compiles it.
const main = readFileSync(join(stage, bundle, 'main.js'), 'utf8');
put(join(bundle, 'main.js'), main.replace('#!/usr/bin/env -S node', '#!/usr/bin/node'), 0o755);
for (const directory of runtimePackages(checkout, natives)) {
  copyTree(directory, join(packaged.program, relative(checkout, directory)));
}
put(join(packaged.program, 'package.json'), text('package.json'));
for (const name of readdirSync(join(checkout, 'rules/policies'))) {
  const mode = name.includes('.') ? 0o644 : 0o755;
  put(join(packaged.program, 'rules/policies', name), text('rules/policies', name), mode);
}
for (const native of run('find', stage, '-name', '*.node').split('\n')) {
  run('strip', '--strip-unneeded', '--remove-section=.comment', '--remove-section=.note', native);
}

// A missing file is noticed here, not on somebody's PC: all code is run once. Its compiled form is for this machine's Node.
const script = `for (const name of ${JSON.stringify(natives)}) await import(name); process.exit(0)`;
execaSync('node', ['--input-type=module', '--eval', script], { cwd: join(stage, bundle), timeout: 60_000 });
execaSync('node', ['keep-code.js'], { cwd: join(stage, bundle), timeout: 60_000 });
for (const name of readdirSync(join(stage, bundle))) if (name.endsWith('.code')) rmSync(join(stage, bundle, name));

// Everything else.
const page = manPage(verbs, date);
const files = installedFiles(checkout, packaged, { page, completion: (shell) => completionOf(shell, verbs) ?? '' });
for (const file of files) {
  if (file.path.startsWith('/usr/share/man/')) put(`${file.path}.gz`, gzip(file.text));
  else put(file.path, file.text, file.mode);
}
const docs = '/usr/share/doc/hotseat';
put('/usr/share/lintian/overrides/hotseat', text('rules/package/lintian-overrides'));
for (const name of ['README.md', 'SECURITY.md', 'policies/REFERENCE.md']) put(`${docs}/${name}`, text(name));
for (const name of readdirSync(join(checkout, 'docs'), { recursive: true, encoding: 'utf8' })) {
  if (name.endsWith('.md')) put(`${docs}/docs/${name}`, text('docs', name));
}
put(`${docs}/copyright`, copyright());
put(
  `${docs}/changelog.Debian.gz`,
  gzip(
    `hotseat (${version}) unstable; urgency=medium\n\n  * Built from ${run('git', 'rev-parse', '--short=12', 'HEAD')}.\n\n -- ${maintainer}  ${date.toUTCString().replace('GMT', '+0000')}\n`,
  ),
);

// The files for dpkg.
for (const name of ['postinst', 'prerm', 'postrm']) put(`DEBIAN/${name}`, text('rules/package', name), 0o755);
// The compiled form of the code is for one version of Node.
put('DEBIAN/triggers', 'interest-noawait /usr/bin/node\n');
put('DEBIAN/conffiles', `${files.flatMap(({ path, admins }) => (admins ? [path] : [])).join('\n')}\n`);
const lines = (list: readonly (string | undefined)[]): string => list.filter((line) => line !== undefined).join('\n');
put(
  'DEBIAN/control',
  `${lines([
    'Package: hotseat',
    `Version: ${version}`,
    'Section: admin',
    'Priority: optional',
    `Architecture: ${arch}`,
    `Maintainer: ${maintainer}`,
    `Installed-Size: ${Math.ceil(sizeOf(stage) / 1024)}`,
    'Depends: nodejs (>= 20.19), udev (>= 251), systemd (>= 251), git (>= 1:2.30), libudev1 (>= 183), libc6 (>= 2.34), libstdc++6 (>= 11)',
    'Recommends: openssh-client',
    'Suggests: lxc, incus, podman, docker.io, systemd-container, python3',
    "Description: gives each hot-plugged device to the right seat's container",
    ' One PC, several people: each seat is a screen, a keyboard, a mouse and an',
    ' operating system of its own in a container. Hotseat is the agent on the host',
    ' that gives a device to the right seat the moment it is plugged in, and to',
    ' nobody else. What belongs to whom is said by seat files in a git repository.',
    ' .',
    ' Containers of LXC, Incus, Podman, Docker and systemd-nspawn are served.',
  ])}\n`,
);
const sums = run('find', stage, '-type', 'f', '-not', '-path', `${stage}/DEBIAN/*`).split('\n').sort();
put('DEBIAN/md5sums', `${run('md5sum', ...sums).replaceAll(`${stage}/`, '')}\n`);
for (const directory of run('find', stage, '-type', 'd').split('\n')) chmodSync(directory, 0o755);

const out = join(checkout, 'dist', `hotseat_${version}_${arch}.deb`);
execaSync('dpkg-deb', ['--root-owner-group', '-Zxz', '-z6', '--build', stage, out], {
  env: { SOURCE_DATE_EPOCH: String(date.getTime() / 1000) },
});
rmSync(stage, { recursive: true });
// `npm run deb` sees to it that it is there; a build without it says so.
const lintian = execaSync('lintian', ['--allow-root', '--fail-on', 'error,warning', out], {
  reject: false,
  all: true,
  timeout: 300_000,
});
if (lintian.code === 'ENOENT') console.error('not checked: lintian is not installed');
else if (lintian.failed) throw new Error(`lintian has something against ${out}:\n${lintian.all}`);
console.log(relative(checkout, out));

function sizeOf(directory: string): number {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

/** Ours and that of every package within, in Debian's machine-readable format (copyright-format 1.0). */
function copyright(): string {
  const ours = { owner: '2026 the Hotseat authors', short: 'MIT', body: paragraph(text('LICENSE')) };
  const separate = runtimePackages(checkout, natives);
  const bundled = runtimePackages(checkout).filter((directory) => !separate.includes(directory));
  const inBundle = [ours, ...bundled.map(licenceOf)];
  return [
    'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: hotseat\n',
    `Files: *\nCopyright: ${ours.owner}\nLicense: ${ours.short}\n`,
    `Files: ${bundle.slice(1)}/*\nCopyright: ${inBundle.map(({ owner }) => owner).join('\n ')}\nLicense: ${inBundle.map(({ short }) => short).join(' and ')}\n`,
    ...separate.map((directory) => {
      const { owner, short } = licenceOf(directory);
      const path = join(packaged.program, relative(checkout, directory)).slice(1);
      return `Files: ${path}/*\nCopyright: ${owner}\nLicense: ${short}\n`;
    }),
    ...new Map(
      [ours, ...[...bundled, ...separate].map(licenceOf)].map(({ short, body }) => [
        short,
        `License: ${short}\n${body}\n`,
      ]),
    ).values(),
  ].join('\n');
}

/** The owner of a package, the name of its licence here, and its text. */
function licenceOf(directory: string): { owner: string; short: string; body: string } {
  const name = relative(checkout, directory).replace(/^.*node_modules\//, '');
  const { license = 'unknown' } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Manifest;
  const file = readdirSync(directory).find((other) => /^licen[cs]e/i.test(other));
  const words =
    file === undefined ? `As its package.json says: ${license}` : readFileSync(join(directory, file), 'utf8');
  const owner = /^.*copyright.*\d{4}.*$/im.exec(words)?.[0]?.trim() ?? `the authors of ${name}, see its package.json`;
  return license === 'Apache-2.0'
    ? { owner, short: license, body: ` On Debian systems the text is in /usr/share/common-licenses/${license}.` }
    : { owner, short: `${license}-${name.replace(/[^A-Za-z0-9.-]/g, '-')}`, body: paragraph(words) };
}

/** A text as the format wants it in a field. */
function paragraph(words: string): string {
  return words
    .trim()
    .split('\n')
    .map((line) => (line.trim() === '' ? ' .' : ` ${line.trimEnd()}`))
    .join('\n');
}

interface Manifest {
  readonly license?: string;
}
