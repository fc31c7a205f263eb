import * as assert from 'uvu/assert';
import type { Process } from '../driver/channel.js';
import { EngineSeats } from '../driver/engine-seats.js';
import { script, variants } from '../driver/engine-variants.js';
import { preparedEngines } from '../driver/prepared.js';
import { test } from '../driver/test.js';

// Xorg without root anywhere: not on the host, not in the container; no /dev/mem, no virtual terminal.
const lab = await preparedEngines();

/** A user in the container with the rights of a desktop's user: our nodes belong to these groups. */
const somebody =
  'setpriv --reuid 1000 --regid 1000 --groups $(getent group input video render audio | cut -d: -f3 | paste -sd,) --';

const config = [
  'Section "ServerFlags"',
  'Option "AutoAddGPU" "false"',
  'EndSection',
  'Section "Module"',
  'Disable "glx"',
  'EndSection',
  'Section "Device"',
  'Identifier "seat"',
  'Driver "modesetting"',
  'Option "kmsdev" "CARD"',
  'Option "AccelMethod" "none"',
  'EndSection',
].join('\n');

for (const variant of variants.filter(({ title }) => /unprivileged|rootless/.test(title))) {
  const engine = new EngineSeats(lab, variant);
  let xorg: Process;
  let terminal: Process;

  const inside = async (command: string): Promise<string> => {
    const answer = await engine.inside('left', command);
    assert.ok(answer !== undefined, `failed: ${command}`);
    return answer;
  };

  test(`${variant.title}: an Xorg that is not root starts on the seat's card`, async () => {
    await engine.rule();
    await script(lab, engine.name('left'), variant.prepare);
    await engine.start('left');
    const card = await engine.newNode('left', 'graphics');
    await inside(`mkdir -p /tmp/.X11-unix && chmod 1777 /tmp /tmp/.X11-unix
      cat > /tmp/seat.conf <<'END'\n${config.replace('CARD', card)}\nEND`);
    const files = '-config /tmp/seat.conf -logfile /tmp/xorg.log';
    const server = `HOME=/tmp exec Xorg :0 -noreset -nolisten tcp -novtswitch -sharevts ${files}`;
    xorg = lab.start(engine.argv('left', 'sh', '-c', `${somebody} sh -c '${server}'`));
    await lab.until('Xorg to answer', async () => {
      const answer = await engine.inside('left', `${somebody} env DISPLAY=:0 xinput list --name-only`);
      return answer?.includes('Virtual core keyboard') === true;
    });
  });

  test(`${variant.title}: it is root nowhere, and has neither memory nor terminal open`, async () => {
    const pid = await lab.sh('pgrep -xn Xorg');
    assert.is.not(await lab.sh(`awk '/^Uid/ {print $2}' /proc/${pid}/status`), '0');
    assert.match(await lab.sh(`awk '/^CapEff/ {print $2}' /proc/${pid}/status`), /^0+$/);
    const open = await lab.sh(`ls -l /proc/${pid}/fd`);
    assert.match(open, /\/dev\/dri\/card\d/);
    assert.not.match(open, /\/dev\/(mem|tty|vcs|port)/);
  });

  test(`${variant.title}: a keyboard plugged then types into it`, async () => {
    const typing = `${somebody} env DISPLAY=:0 HOME=/tmp xterm -geometry 170x60+0+0 -e sh -c 'cat > /tmp/typed'`;
    terminal = lab.start(engine.argv('left', 'sh', '-c', typing));
    await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'rootless' });
    const list = `${somebody} env DISPLAY=:0 xinput list --name-only`;
    await lab.until('the keyboard in xinput', async () =>
      /USB Keyboard/.test((await engine.inside('left', list)) ?? ''),
    );
    await lab.until('the terminal', async () => {
      const found = await engine.inside(
        'left',
        `${somebody} env DISPLAY=:0 xdotool search --onlyvisible --class xterm`,
      );
      return found !== undefined && found !== '';
    });
    await lab.type('left', 'no root needed\n');
    await lab.until('the sentence', async () => (await engine.inside('left', 'cat /tmp/typed')) === 'no root needed');
    await lab.unplug('rootless');
    await lab.until('no keyboard in xinput', async () => !/USB Keyboard/.test(await inside(list)));
  });

  test(`${variant.title}: clearing up`, async () => {
    await Promise.all([terminal, xorg].map((process) => process.kill().catch(() => undefined)));
    await lab.sh('pkill -x Xorg || true');
    await engine.stop('left');
  });
}

test.after(() => lab.stop());
test.run();
