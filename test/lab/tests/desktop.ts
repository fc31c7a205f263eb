// A desktop of the host itself: LightDM at its seat0, from the packages that the seats have as well.

import * as assert from 'uvu/assert';
import { type Lab, type Place, places } from '../driver/lab.js';
import { gpu, hub } from '../driver/machine.js';

/** Where its file system is on the host: the seats' common files, and its own. */
const root = '/srv/desktop';

const units: Readonly<Record<string, string>> = {
  'srv-desktop.mount': `[Mount]
What=overlay
Where=${root}
Type=overlay
Options=lowerdir=/srv/seat,upperdir=${root}.upper,workdir=${root}.work
`,
  'lightdm.service': `[Unit]
After=systemd-user-sessions.service dbus.service
Requires=dbus.service
RequiresMountsFor=${root}
[Service]
RootDirectory=${root}
MountAPIVFS=yes
BindPaths=/run/dbus /run/systemd /run/udev
ExecStart=/usr/sbin/lightdm
Restart=always
BusName=org.freedesktop.DisplayManager
[Install]
Alias=display-manager.service
`,
};

/** Nothing here says which card an X server takes: that is for udev and logind to say. Emulated, 3D costs more than all the rest. */
const files: Readonly<Record<string, string>> = {
  'etc/X11/xorg.conf': `Section "Module"
    Disable "glx"
EndSection
Section "OutputClass"
    Identifier "plain"
    MatchDriver "virtio_gpu"
    Driver "modesetting"
    Option "AccelMethod" "none"
EndSection
`,
  'etc/lightdm/lightdm.conf': `[Seat:*]
autologin-user=anna
autologin-session=idle
session-wrapper=/usr/bin/env
`,
  'usr/share/xsessions/idle.desktop': `[Desktop Entry]
Type=Application
Name=idle
Exec=/usr/bin/sleep infinity
`,
};

/** Starts with the next boot of the PC, with a keyboard and a mouse at the host's hub. */
export async function installDesktop(lab: Lab): Promise<void> {
  for (const [path, text] of Object.entries(units)) await lab.putFile(`/etc/systemd/system/${path}`, text);
  for (const [path, text] of Object.entries(files)) await lab.putFile(`${root}.upper/${path}`, text);
  await lab.putFile('/opt/lab/holders.py', holders);
  // A login needs no systemd of its own here.
  await lab.sh(
    `mkdir -p ${root} ${root}.work
    cp /srv/seat/usr/share/dbus-1/system.d/org.freedesktop.DisplayManager.conf /etc/dbus-1/system.d
    useradd --uid 1000 anna
    systemctl mask user@1000
    systemctl enable lightdm
    systemctl start srv-desktop.mount
    chroot ${root} useradd --uid 1000 --create-home anna`,
    { timeoutMs: 90_000 },
  );
  await lab.plug({ seat: 'host', driver: 'usb-kbd', id: 'desktop-keyboard' });
  await lab.plug({ seat: 'host', driver: 'usb-mouse', id: 'desktop-mouse' });
}

/** A line for each open descriptor of a graphics card or an input: whose, a container's name or none, and where in sysfs. */
const holders = `import os, re, stat
def device(pid, fd):
    try:
        status = os.stat(f'/proc/{pid}/fd/{fd}')
        with open(f'/proc/{pid}/fdinfo/{fd}') as info:
            flags = int(re.search(r'flags:\\s+(\\d+)', info.read()).group(1), 8)
    except OSError:
        return None
    # With O_PATH a node has been named, and its device is not open: so the agent looks at the nodes that it has made.
    return status.st_rdev if stat.S_ISCHR(status.st_mode) and not flags & 0o10000000 else None
for pid in filter(str.isdigit, os.listdir('/proc')):
    try:
        group, name = (open(f'/proc/{pid}/{file}').read().strip() for file in ('cgroup', 'comm'))
        nodes = {device(pid, fd) for fd in os.listdir(f'/proc/{pid}/fd')}
    except OSError:
        continue
    for node in nodes - {None}:
        if os.major(node) in (13, 226):
            container = re.search(r'lxc\\.payload\\.(\\w+)', group)
            path = os.path.realpath(f'/sys/dev/char/{os.major(node)}:{os.minor(node)}')
            print(container.group(1) if container else 'host', name, path)
`;

interface Holder {
  readonly owner: string;
  readonly program: string;
  /** The owner of the card or hub; undefined for built-in devices, such as the PC's power button. */
  readonly place: Place | undefined;
  readonly kind: string;
}

const placeOf = (path: string): Place | undefined =>
  places.find((place) => path.includes(`/${gpu[place].pci}/`) || path.includes(`/1-${hub[place].port}.`));

async function heldNow(lab: Lab): Promise<Holder[]> {
  const lines = (await lab.sh('python3 /opt/lab/holders.py')).split('\n');
  return lines.map((line) => {
    const [owner = '', program = '', path = ''] = line.split(' ');
    return { owner, program, place: placeOf(path), kind: path.replace(/.*\/([a-zA-Z]+)\d+$/, '$1') };
  });
}

/**
 * The display manager has started one X server, at seat0, on the host's card. That has the host's keyboard and mouse, and
 * neither it nor anything else of the host has, or has had, a card or an input of a seat; nor has a seat another's.
 */
export async function desktopHasItsOwn(lab: Lab): Promise<void> {
  const own = ['card', 'event', 'event'];
  let held: Holder[] = [];
  const kinds = () =>
    held.filter(({ owner, program, place }) => owner === 'host' && program === 'Xorg' && place === 'host');
  await lab.until(
    'the host’s desktop to have its own',
    async () => {
      held = await heldNow(lab);
      return kinds().length >= own.length;
    },
    180_000,
  );
  assert.equal(
    kinds()
      .map(({ kind }) => kind)
      .sort(),
    own,
  );
  assert.equal(
    held.filter(({ owner, place }) => place !== undefined && place !== owner),
    [],
  );
  assert.is(await lab.sh('pgrep --count --full "^/usr/lib/xorg/Xorg .*-seat "'), '1');
  assert.match(await lab.sh('loginctl list-seats --no-legend'), /^seat0$/);
  // Devices that it has opened and closed again.
  const log = await lab.sh(`grep -oE '/dev/(dri/card|input/event)[0-9]+' ${root}/var/log/Xorg.0.log | sort -u`);
  const seatsOf = await lab.sh(
    `for node in ${log.replaceAll('\n', ' ')}; do udevadm info -q property --property=ID_SEAT --value $node; done`,
  );
  assert.is(seatsOf, '', log);
}
