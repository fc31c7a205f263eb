// README followed on a PC that has never seen Hotseat: every example in order, as it stands, and all that it names.

import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { blocksOf, isShown, readme, type Step, spansOf, stepsOf } from '../../readme.js';
import type { Process } from '../driver/channel.js';
import { deployContainers } from '../driver/deploy.js';
import { type Plug, seats, startLab } from '../driver/lab.js';
import { checkout } from '../driver/paths.js';
import { xinput } from '../driver/service.js';
import { test } from '../driver/test.js';

const { stdout: built } = await execa('node', ['dist/rules/package/deb.js'], { cwd: checkout, stderr: 'inherit' });
const deb = built.trim().split('\n').at(-1) ?? '';
const lab = await startLab();

/** Where the user is. */
let cwd = '/root';
/** Every command line that was typed. */
const typed: string[] = [];

/** Types a command line; what both of its streams say, as on a terminal. `meanwhile`: what is done while it runs. */
async function type(command: string, meanwhile?: (running: Process) => Promise<void>): Promise<string> {
  typed.push(command);
  const script = `exec 2>&1; cd '${cwd}'; trap 'pwd > /run/readme-cwd' EXIT; set -e; ${command}`;
  const env = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
  const running = lab.start(['bash', '-c', script], { timeoutMs: 200_000, env });
  running.end();
  await meanwhile?.(running);
  const { code, stdout } = await running.done;
  // 1 is an answer of ours as well; 2 is misuse.
  assert.ok(code <= 1, `${command}: exit status ${code}\n${stdout}`);
  cwd = await lab.sh('cat /run/readme-cwd');
  return stdout;
}

const keyboard: Plug = { seat: 'left', driver: 'usb-kbd', id: 'kbd', port: 1 };

async function keyboardIsThere(wanted: boolean): Promise<void> {
  const look = async () => (await lab.inContainer('left', ['ls', '/dev/input'])).stdout.includes('event2');
  await lab.until(
    `the keyboard, ${wanted ? 'in' : 'no longer in'} the container`,
    async () => (await look()) === wanted,
  );
}

/** What the text around them has the user do before these commands. */
const before: Readonly<Record<string, () => Promise<void>>> = {
  'hotseat seats': async () => {
    for (const seat of seats) await lab.containerUp(seat);
    await lab.plug(keyboard);
    await keyboardIsThere(true);
    // The admin's own, which the host keeps.
    await lab.plug({ seat: 'host', driver: 'usb-kbd', id: 'admins', display: 'left' });
    await lab.settled();
    await lab.plug({ seat: 'host', driver: 'usb-kbd', id: 'hers', serial: 'HERS' });
    await lab.settled();
  },
};

const pressKey = async (running: Process): Promise<void> => {
  await lab.until('it to listen', async () => running.stdout.includes('press a key'));
  await lab.type('host', 'a');
};

/** And while they run. */
const meanwhile: Readonly<Record<string, (running: Process) => Promise<void>>> = {
  'hotseat identify left': pressKey,
  'hotseat identify left --by serial --write': pressKey,
  'hotseat watch': async () => {
    const listens = async () => (await lab.sh('ss -xH state connected src /run/hotseat/control.sock')) !== '';
    await lab.until('it to listen', listens);
    await lab.unplug(keyboard.id);
    await keyboardIsThere(false);
    await lab.plug(keyboard);
    await keyboardIsThere(true);
    await lab.settled();
    await lab.sh("pkill -INT -f 'main.js watch'");
  },
};

async function follow({ command, shown, line }: Step): Promise<void> {
  await before[command]?.();
  const said = await type(command, meanwhile[command]);
  console.log(`$ ${command}\n${said.trimEnd()}`);
  assert.ok(isShown(shown, said), `README.md:${line}: ${command}\nshown:\n${shown.join('\n')}\nsaid:\n${said}`);
}

test.before(async () => {
  await deployContainers(lab);
  // As a container is that knows nothing of Hotseat.
  for (const seat of seats) {
    await lab.sh(
      `sed -i '/hotseat.conf\\|card.conf/d' /var/lib/lxc/${seat}/config; rm /var/lib/lxc/${seat}/hotseat.conf`,
    );
  }
  await lab.putFile(`/root/dist/${basename(deb)}`, await readFile(join(checkout, deb)));
});

/** What runs elsewhere: it starts PCs like this one. */
const isElsewhere = (text: string): boolean => text.startsWith('npm ');
const examples = blocksOf(readme).filter(({ text }) => !isElsewhere(text));

for (const block of examples) {
  const { language, file, line, text } = block;
  test(`README.md:${line}: ${file ?? (language === 'console' ? stepsOf(block)[0]?.command : text.split('\n')[0])}`, async () => {
    if (file !== undefined) await lab.putFile(resolve(cwd, file), text);
    else if (language === 'sh') await type(text);
    else if (language === 'console') for (const step of stepsOf(block)) await follow(step);
  });
}

/** What the text names and no example shows. */
const alsoTyped: readonly string[] = [
  'hotseat schema',
  'hotseat fmt',
  'hotseat fmt --check',
  'hotseat reload --force',
  'hotseat explain --help',
  'hotseat log --failed --seat left --device /dev/input/event2 --since 1h --json',
  'timeout --signal=INT 5 hotseat log --follow || true',
  'hotseat metrics --output /var/tmp/hotseat.prom && cat /var/tmp/hotseat.prom',
  'loginctl seat-status seat-left',
  'journalctl -u hotseat -p warning',
  "grep -e '--ref refs/heads/main' /etc/default/hotseat",
  'systemctl cat hotseat-consoles',
];

test('what the text names is there as well', async () => {
  const said: Record<string, string> = {};
  for (const command of alsoTyped) said[command] = await type(command);
  assert.is(said['hotseat fmt --check'], '', 'all files are in one form by then');
  assert.match(said['loginctl seat-status seat-left'] ?? '', /USB Keyboard/);
  for (const path of spansOf(readme).filter((span) => /^\/(etc\/(default|hotseat)|var|usr|run)\b/.test(span))) {
    await lab.sh(`test -e ${path}`);
  }
});

test('a stop gives the consoles back, and the agent runs by hand as well', async () => {
  await lab.startScreens(['left']);
  await type('systemctl stop hotseat');
  await lab.until('the consoles to hear', async () => /unicode/i.test(await lab.sh('kbd_mode -C /dev/tty1')));
  const said = await type('hotseat run --policies .', async (running) => {
    await lab.until('it to serve', async () => running.stdout.includes('"msg":"ready"'), 120_000);
    await lab.sh("pkill -f 'main.js run'");
  });
  assert.match(said, /"seats":\["left","right"\]/);
});

test('removed, an Xorg that runs on has lost its keyboards and keeps its card; of the policy there is a backup', async () => {
  assert.is((await xinput(lab, 'left')).length, 2);
  assert.match(await type('apt remove -y hotseat'), /^hotseat release: seats: left: .* cannot leave: held by Xorg/m);
  assert.equal(await xinput(lab, 'left'), []);
  await type('apt purge -y hotseat');
  assert.match(await lab.sh('tar -tzf /var/backups/hotseat-policies-*.tar.gz'), /^policies\/left\.yaml$/m);
});

test('every command, option and step of this test is README’s', () => {
  const commands = examples.flatMap((block) => (block.language === 'console' ? stepsOf(block) : []));
  for (const key of [...Object.keys(before), ...Object.keys(meanwhile)]) {
    assert.ok(
      commands.some(({ command }) => command === key),
      `README no longer has: ${key}`,
    );
  }
  const isCommand = (span: string) => /^(hotseat|apt|systemctl|journalctl|loginctl|--)(?=[ a-z])\S* ?\w/.test(span);
  for (const span of spansOf(readme).filter(isCommand)) {
    if (span === '--dry-run' || span === 'loginctl attach') continue; // a checkout's; another test's
    const words = span.split(' ').map((word) => (/[A-Z]{3}/.test(word) ? '\\S+' : word.replace(/[.*+?]/g, '\\$&')));
    assert.ok(
      typed.some((line) => new RegExp(words.join('( -\\S+)* ')).test(line)),
      `nobody typed: ${span}`,
    );
  }
});

test.after(() => lab.stop());
test.run();
