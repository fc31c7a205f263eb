// How else a device gets into a container: what an admin's udev rule starts (udev(7), RUN+=), and what Incus does itself.

import { script, type Variant, variants } from '../../lab/driver/engine-variants.js';
import type { Lab } from '../../lab/driver/lab.js';

/** A script on a udev rule. */
export interface Peer {
  readonly title: string;
  /** Starts container `$name`, which may open every input. */
  readonly start: string;
  readonly prepare: string;
  readonly stop: string;
  readonly pid: string;
  /** Puts the node into container `$name`: run by udevd, with the device's properties as its environment. */
  readonly command: string;
}

function variant(title: string): Variant {
  const found = variants.find((one) => one.title === title);
  if (found === undefined) throw new Error(`no engine variant ${title}`);
  return found;
}

const mknod = '"mkdir -p /dev/input; mknod -m 660 $DEVNAME c $MAJOR $MINOR"';
const lxc = variant('lxc');
const docker = variant('docker');
/** Allowed beforehand, so that no script has to do it for each device. */
const openLxc = `${lxc.prepare}\necho 'lxc.cgroup2.devices.allow = c 13:* rwm' >> /var/lib/lxc/$name/config`;

export const peers: readonly Peer[] = [
  {
    ...lxc,
    title: 'lxc-device by systemd-run',
    prepare: openLxc,
    // A program of udevd itself may not chroot(2), as lxc-device does (systemd-udevd.service, SystemCallFilter=).
    command: 'systemd-run --quiet --wait --collect lxc-device -n $name add $DEVNAME',
  },
  { ...lxc, title: 'lxc-attach mknod', prepare: openLxc, command: `lxc-attach -n $name -- sh -c ${mknod}` },
  {
    ...docker,
    title: 'docker exec mknod',
    start: docker.start.replace('docker run', "docker run --cap-add MKNOD --device-cgroup-rule 'c 13:* rwm'"),
    command: `docker exec $name sh -c ${mknod}`,
  },
];

export const peerName = ({ title }: Peer): string => `peer-${title.replace(/\W+/g, '-')}`;

/** Name of the keyboards that the scripts are about. */
export const peerKeyboard = 'bench peer';

/** The script of a peer, without a copy of udev's record and a message, or with both. */
export function peerScript(peer: Peer, pid: string, isWhole: boolean): string {
  const inside = `/proc/${pid}/root`;
  const say = (action: string) => `/opt/bench/say ${pid} ${action} $DEVPATH $DEVNAME $MAJOR $MINOR`;
  return [
    '#!/bin/sh',
    `name=${peerName(peer)}`,
    'if [ "$ACTION" = remove ]; then',
    `  rm -f ${inside}$DEVNAME ${inside}/run/udev/data/c$MAJOR:$MINOR`,
    `  ${isWhole ? say('remove') : 'exit'}`,
    '  exit',
    'fi',
    peer.command,
    ...(isWhole
      ? [`mkdir -p ${inside}/run/udev/data`, `cp /run/udev/data/c$MAJOR:$MINOR ${inside}/run/udev/data/`, say('add')]
      : []),
    '',
  ].join('\n');
}

/** Has udevd run a script for each keyboard of that name; an empty one ends that. */
export async function ruleFor(lab: Lab, text: string): Promise<void> {
  await lab.putFile('/opt/bench/peer', text, 0o755);
  // Its attributes are known only while it is there; its database entry is there until it has gone.
  const rules = [
    `ACTION=="add", SUBSYSTEM=="input", KERNEL=="event*", ATTRS{name}=="${peerKeyboard}", ENV{BENCH}="1", RUN+="/opt/bench/peer"`,
    'ACTION=="remove", SUBSYSTEM=="input", KERNEL=="event*", ENV{BENCH}=="1", RUN+="/opt/bench/peer"',
    '',
  ];
  await lab.putFile('/run/udev/rules.d/99-bench.rules', text === '' ? '' : rules.join('\n'));
  await lab.sh('udevadm control --reload');
}

/** Starts a peer's container; the pid of its init. */
export async function startPeer(
  lab: Lab,
  peer: Pick<Peer, 'prepare' | 'start' | 'pid'>,
  name: string,
): Promise<string> {
  await script(lab, name, peer.prepare);
  await script(lab, name, peer.start);
  const pid = await script(lab, name, peer.pid);
  const make = 'mkdir -p /run/udev/data /dev/input; touch /run/udev/control';
  await lab.guest(['/opt/engines/enter', pid, 'sh', '-ec', make]);
  return pid;
}
