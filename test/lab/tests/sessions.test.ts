import * as assert from 'uvu/assert';
import { gpu, screen } from '../driver/machine.js';
import { preparedLab } from '../driver/prepared.js';
import { policyDirectory, reload } from '../driver/service.js';
import { test } from '../driver/test.js';

// Sessions of the container's own logind, as desktops have them. Nodes at left belong to root alone there: a user who
// has one open and is not root got it from logind (TakeDevice).
const lab = await preparedLab();

const inside = async (script: string): Promise<string> =>
  (await lab.inContainer('left', ['bash', '-ec', script])).stdout.trim();
const until = (what: string, script: string, answer: RegExp): Promise<void> =>
  lab.until(what, async () => {
    const { stdout } = await lab.inContainer('left', ['bash', '-ec', script], { allowFailure: true });
    return answer.test(stdout);
  });

const session = "loginctl list-sessions --no-legend | awk '/seat0/ {print $1}'";
const seatStatus = 'loginctl seat-status seat0 --no-pager';

/** A service of anna's that logind takes for a session at the seat, with this environment more. */
const service = (name: string, environment: string, command: string) =>
  inside(`cat > /etc/systemd/system/${name}.service <<'END'
[Service]
User=anna
PAMName=login
Environment=XDG_SEAT=seat0 XDG_SESSION_CLASS=user ${environment}
UtmpIdentifier=seat0
ExecStart=${command}
END
systemctl daemon-reload; systemctl start ${name}`);

test.before(async () => {
  const file = `${policyDirectory}/left.yaml`;
  const text = await lab.sh(`cat ${file}`);
  const closed = text.replace(/(match: \{ port: .*\})/, '$1\n    group: root\n    mode: "0600"');
  assert.is.not(closed, text);
  await lab.putFile(file, closed);
  await reload(lab);
  await inside(`systemctl stop term xorg
    systemctl unmask systemd-logind lightdm
    systemctl start systemd-logind
    useradd --create-home --shell /bin/bash anna`);
});

test('a display manager starts a session at the seat, and a keyboard plugged then types into it', async () => {
  // lightdm counts on virtual terminals wherever the seat is seat0; logind knows that there are none.
  await inside(`echo 'XDG_VTNR DEFAULT=0' > /etc/security/pam_env.conf
    printf '[Seat:*]\\nautologin-user=anna\\nautologin-session=typing\\n' > /etc/lightdm/lightdm.conf
    mkdir -p /usr/share/xsessions
    printf '[Desktop Entry]\\nType=Application\\nName=typing\\nExec=/usr/local/bin/typing\\n' \\
      > /usr/share/xsessions/typing.desktop
    printf '#!/bin/sh\\nexec xterm -geometry 170x60+0+0 -e sh -c "cat > /tmp/typed"\\n' > /usr/local/bin/typing
    chmod 755 /usr/local/bin/typing
    systemctl start lightdm`);
  const x = 'DISPLAY=:0 XAUTHORITY=/home/anna/.Xauthority';
  await until('a terminal of the session', `${x} xdotool search --onlyvisible --class xterm`, /\d/);
  const shown = await inside(`loginctl show-session $(${session})`);
  for (const line of ['Name=anna', 'Seat=seat0', 'Type=x11', 'Class=user', 'Active=yes']) {
    assert.ok(shown.split('\n').includes(line), `${line} in\n${shown}`);
  }
  await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'desk' });
  await until('the keyboard in xinput', `${x} xinput list --name-only`, /USB Keyboard/);
  assert.match(await inside(seatStatus), /\[MASTER\] drm:card\d[\s\S]*input:input\d+ "QEMU QEMU USB Keyboard"/);
  await lab.type('left', 'a desktop in a container\n');
  await until('the sentence', 'cat /tmp/typed', /^a desktop in a container\n$/);
  await lab.unplug('desk');
  await until('no keyboard in xinput', `${x} xinput list --name-only; echo end`, /^(?![\s\S]*USB Keyboard)[\s\S]*end/);
  assert.not.match(await inside(seatStatus), /USB Keyboard/);
  await inside('systemctl stop lightdm');
});

test('an Xorg that is not root, and may open no node, has its devices from the container’s logind', async () => {
  await service(
    'desk',
    'XDG_SESSION_TYPE=x11',
    '/usr/lib/xorg/Xorg :1 -noreset -nolisten tcp -novtswitch -ac -logfile /home/anna/xorg.log',
  );
  await until('Xorg', 'DISPLAY=:1 xinput list --name-only', /Virtual core keyboard/);
  await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'taken' });
  await until('the keyboard in xinput', 'DISPLAY=:1 xinput list --name-only', /USB Keyboard/);
  assert.is(await inside("stat -c '%U %G %a' /dev/input/event*"), 'root root 600');
  assert.is(await inside('ps -o user= -C Xorg'), 'anna');
  const log = await inside('cat /home/anna/xorg.log');
  assert.match(log, /systemd-logind: got fd for \/dev\/dri\/card\d/);
  assert.match(log, /systemd-logind: got fd for \/dev\/input\/event\d+/);
  await lab.unplug('taken');
  await until('no keyboard', 'DISPLAY=:1 xinput list --name-only; echo end', /^(?![\s\S]*USB Keyboard)[\s\S]*end/);
  await inside('systemctl stop desk');
});

test('a wlroots compositor has its devices from logind, and sees keyboards and monitors come and go', async () => {
  // Without the last of them it waits for ever when no keyboard is there yet.
  const environment = 'XDG_SESSION_TYPE=wayland LIBSEAT_BACKEND=logind WLR_RENDERER=pixman WLR_LIBINPUT_NO_DEVICES=1';
  await service('kiosk', environment, '/usr/bin/cage -d -- sleep infinity');
  const outputs = 'runuser -u anna -- env XDG_RUNTIME_DIR=/run/user/$(id -u anna) WAYLAND_DISPLAY=wayland-0 wlr-randr';
  await until('its output', outputs, /Enabled: yes/);
  const open = 'ls -l /proc/$(pgrep -xn cage)/fd; echo end';
  const without = /^(?![\s\S]*\/dev\/input\/event)[\s\S]*end/;
  await until('no keyboard', open, without);
  await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'kiosk' });
  await until('the keyboard', open, /\/dev\/input\/event\d+/);
  assert.is(await inside('ps -o user= -C cage'), 'anna');
  await lab.unplug('kiosk');
  await until('no keyboard again', open, without);

  // QEMU has been told of no monitor yet, and takes no notice of none again: another one comes first.
  await lab.monitor('left', { width: 800, height: 600 });
  const modes = `cat /sys/bus/pci/devices/${gpu.left.pci}/drm/card*/card*-Virtual-*/modes`;
  await lab.until('the kernel to know', async () => (await lab.sh(modes)).startsWith('800x600'));
  await lab.monitor('left', undefined);
  await until('no output', `${outputs}; echo end`, /^(?![\s\S]*Enabled: yes)[\s\S]*end/);
  await lab.monitor('left', screen);
  await until('the output again', outputs, /Enabled: yes/);
});

test.after(() => lab.stop());
test.run();
