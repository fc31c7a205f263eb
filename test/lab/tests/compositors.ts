// Wayland compositors in the scenario's containers, which are unprivileged and have no input or card node then: cage of Debian 13
// with libseat 0.9 on one output of the card, sway of Debian 12 with libseat 0.7 on the other.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Process } from '../driver/channel.js';
import type { Lab, Seat } from '../driver/lab.js';
import { screen, twoOutputs } from '../driver/machine.js';
import { checkout, guestFiles } from '../driver/paths.js';
import { colourAt, shownAt } from '../driver/picture.js';
import { agentLog, policyDirectory, reload, seatStatus } from '../driver/service.js';
import { type Desk, desks } from '../scenario/containers.js';
import { outputOf, type Step } from '../scenario/scenario.js';
import { freezing } from './frozen.js';
import { type Lessee, refused } from './lessee.js';
import { begunInSeat } from './seated.js';

/** A compositor, and the colour of the only window that it shows. */
interface Kiosk {
  readonly program: 'cage' | 'sway';
  readonly painted: string;
}
const kiosks: Readonly<Record<Seat, Kiosk>> = {
  left: { program: 'cage', painted: '206040' },
  right: { program: 'sway', painted: '602040' },
};

const serial = 'WANDER1';
const typed = '/run/kiosk/typed';
const window = ({ painted }: Kiosk): string => `python3 /usr/local/lib/painter.py ${painted} ${typed}`;
/** sway has no words for a program to start with. */
const swayConfig = (kiosk: Kiosk): string => `xwayland disable\ndefault_border none\nexec ${window(kiosk)}\n`;

/** The steps on a PC on which those of the scenario have been gone. */
export function compositors(lab: Lab): readonly Step[] {
  const inside = async (seat: Seat, script: string): Promise<string> =>
    (await lab.inContainer(seat, ['bash', '-ec', script])).stdout.trim();
  const lines = (seat: Seat) => inside(seat, `grep -v listening ${typed} || true`);
  const served = async (seat: Seat) => (await seatStatus(lab, seat))?.served;
  let neverFrozen: () => Promise<void>;

  /** Both seat files: seats receive descriptors, and this one also the keyboard that wanders. */
  async function give(seat: Seat): Promise<void> {
    for (const { name } of desks) {
      const file = `${policyDirectory}/${name}.yaml`;
      const rule = `  - { label: it wanders, match: { subsystem: input, ID_SERIAL_SHORT: ${serial} } }`;
      await lab.sh(
        `sed -i '/^receive:/d; /it wanders/d; /^seat:/a receive: descriptor' ${file}` +
          (name === seat ? `; printf '%s\\n' '${rule}' >> ${file}` : ''),
      );
    }
    await reload(lab, '--force');
  }

  async function install({ name, user }: Desk): Promise<void> {
    const put = (path: string, text: string, mode = '0644') =>
      lab.inContainer(name, ['sh', '-ec', `cat > ${path}; chmod ${mode} ${path}`], { stdin: text });
    const kiosk = kiosks[name];
    const words = kiosk.program === 'cage' ? `cage -d -- ${window(kiosk)}` : 'sway -c /etc/kiosk.conf';
    const unit = await readFile(join(guestFiles, 'desk/kiosk.service'), 'utf8');
    await put(
      '/usr/local/bin/hotseat-wlroots',
      await readFile(join(checkout, 'rules/hotseat-wlroots'), 'utf8'),
      '0755',
    );
    await put('/usr/local/lib/painter.py', await readFile(join(guestFiles, 'probes/painter.py'), 'utf8'));
    await put('/etc/kiosk.conf', swayConfig(kiosk));
    await put('/etc/systemd/system/kiosk.service', unit.replace('@USER@', user).replace('@COMPOSITOR@', words));
    await inside(name, 'systemctl stop desktop xorg; systemctl daemon-reload');
  }

  async function draw(): Promise<void> {
    const plugged = [...lab.machine.plugged.keys()];
    if (plugged.length > 0) await lab.unplug(...plugged);
    await Promise.all(desks.map(install));
    await give('left');
    await Promise.all(
      desks.map(async ({ name }) => {
        await lab.untilInside(name, 'its sockets', 'test -S /dev/dri/hotseat && test -S /dev/input/seatd.sock');
        await inside(name, 'systemctl start kiosk');
      }),
    );
    for (const { name, firstId } of desks) {
      const { program, painted } = kiosks[name];
      const colour = async () => colourAt(await shownAt(lab, twoOutputs, outputOf[name]), 60, screen.height - 40);
      await lab.until(`the window of ${program}`, async () => (await colour()) === painted, 90_000);
      assert.is(await inside(name, 'find /dev/dri /dev/input -type c -o -type b'), '');
      const facts = "awk '/^Uid|^CapEff/ {print $2}' /proc/$(pgrep -x %)/status | paste -sd ' '".replace('%', program);
      assert.is(await lab.sh(facts), `${firstId + 1000} 0000000000000000`);
      assert.is((await seatStatus(lab, name))?.outputs?.[0]?.state, 'leased');
      await lab.untilInside(name, 'its window to be there', `test -e ${typed}`);
    }
  }

  async function plug(): Promise<void> {
    neverFrozen = await freezing(lab, 'left');
    await lab.plug({ seat: 'right', driver: 'usb-kbd', id: 'right-keys' });
    await lab.plug({ seat: 'host', driver: 'usb-kbd', id: 'wander', serial, display: 'left' });
    for (const { name } of desks) {
      await lab.until(`a keyboard at ${name}`, async () => (await served(name))?.opened.length === 1);
      await lab.untilInside(name, 'its window to listen', `grep -q listening ${typed}`);
      await lab.type(name, `typed at ${name}\n`);
    }
    for (const { name } of desks) await lab.untilInside(name, 'the line', `grep -qx 'typed at ${name}' ${typed}`);
    for (const { name } of desks) {
      assert.is(await lines(name), `typed at ${name}`);
      assert.is(await inside(name, 'ls -A /dev/input'), 'seatd.sock');
    }
  }

  async function move(): Promise<void> {
    await lab.keyDown('left', 'a');
    await lab.untilInside('left', 'the key', `[ "$(cat ${typed}.now)" = a ]`);
    await give('right');
    await lab.until('it to be opened at right', async () => (await served('right'))?.opened.length === 2);
    await lab.until('it to be closed at left', async () => (await served('left'))?.opened.length === 0);
    await lab.keyUp('left', 'a');
    await lab.type('left', 'it is at right\n');
    await lab.untilInside('right', 'the line', `grep -qx 'it is at right' ${typed}`);
    assert.is(await lines('right'), 'typed at right\nit is at right');
    assert.is(await lines('left'), 'typed at left');
    assert.is(await inside('left', `cat ${typed}.now`), 'a');
    for (const { name } of desks) await inside(name, `pgrep -x ${kiosks[name].program}`);
  }

  async function hide(): Promise<void> {
    await inside('left', 'systemctl stop kiosk');
    await give('left');
    await lab.until('it to be closed at right', async () => (await served('right'))?.opened.length === 1);
    await lab.until('the seat to be free', async () => (await served('left'))?.isOpen === false);
    let node: string | undefined;
    await lab.until('its node', async () => {
      node = (await seatStatus(lab, 'left'))?.devices.find(({ receive }) => receive === 'descriptor')?.node;
      return node !== undefined;
    });
    const hidden: Process = await begunInSeat(lab, 'left', 'holder', node ?? '', 'seat');
    await lab.until('all to be hidden', async () => hidden.stdout.split('hidden').length === 4, 30_000);
    assert.match(hidden.stdout, /^refused (1|13)$/m);
    await lab.key('left', 'a');
    await lab.until('the thread to read', async () => /read/.test(hidden.stdout));
    const since = (await agentLog(lab)).length;
    await give('right');
    await lab.until('it to be opened at right', async () => (await served('right'))?.opened.length === 2);
    const before = hidden.stdout;
    await lab.type('left', 'unheard\n');
    await lab.untilInside('right', 'the line', `grep -qx unheard ${typed}`);
    await hidden.done;
    assert.not.match(hidden.stdout.slice(before.length), /read/);
    assert.is(hidden.stdout.match(/^error 19$/gm)?.length, 3, hidden.stdout);
    assert.match(hidden.stdout, /^still at the seat$/m);
    const said = (await agentLog(lab)).slice(since).map(({ msg }) => msg);
    assert.ok(said.includes('descriptors taken back by the holder'), said.join('\n'));
    assert.not.ok(
      said.some((msg) => msg.startsWith('driver unbound')),
      said.join('\n'),
    );
    await neverFrozen();
  }

  async function look(): Promise<void> {
    const probe = await readFile(join(guestFiles, 'probes/lessee.py'), 'utf8');
    const user = ['setpriv', '--reuid', '1000', '--regid', '1000', '--init-groups'];
    const { stdout } = await lab.inContainer('left', [...user, 'python3', '-'], { stdin: probe });
    const tried = JSON.parse(stdout) as Lessee;
    assert.is(tried.connectors.length, 1, 'it has no lease');
    assert.equal(tried.pictures, refused('EACCES'));
  }

  async function end(): Promise<void> {
    const colour = async () => colourAt(await shownAt(lab, twoOutputs, outputOf.right), 60, screen.height - 40);
    assert.is(await colour(), kiosks.right.painted);
    await lab.guest(['systemctl', 'kill', '-s', 'KILL', 'hotseat-holder.service']);
    await lab.until('the picture to end', async () => (await colour()) === '000000');
    await lab.until('another holder', async () => (await seatStatus(lab, 'right'))?.outputs?.[0]?.state === 'waiting');
    await inside('right', 'systemctl restart kiosk');
    await lab.until('the picture', async () => (await colour()) === kiosks.right.painted);
  }

  return [
    { title: 'cage and sway draw on an output each, as ordinary users, without a card or input node', run: draw },
    { title: 'a keyboard that is plugged is heard by its compositor alone', run: plug },
    { title: 'it moves from cage to sway while a key is held', run: move },
    { title: 'a descriptor that was hidden is dead, and the container was never frozen', run: hide },
    { title: 'the engine’s own filter refuses all requests for a picture of the neighbour’s', run: look },
    { title: 'a holder that is killed takes its pictures along; the next start of a compositor draws again', run: end },
  ];
}
