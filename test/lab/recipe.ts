// What the lab's disk is made of, as data: its hash is the name of the cached image.

const slim = ['man', 'doc', 'locale', 'info', 'lintian'].map((dir) => `--dpkgopt=path-exclude=/usr/share/${dir}/*`);

/** Services that would only cost time, on the host and in the seats alike. */
const quietMasks = [
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'dpkg-db-backup.timer',
  'fstrim.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'systemd-networkd.service',
  'systemd-pstore.service',
];

export const recipe = {
  version: 1,
  suite: 'trixie',
  options: ['--mode=root', '--variant=minbase', ...slim],
  /** The PC itself. */
  host: [
    'linux-image-amd64 initramfs-tools systemd systemd-sysv udev dbus libpam-systemd kbd lxc nodejs',
    'iproute2 procps kmod bpftool python3-minimal evtest git strace',
  ].flatMap((line) => line.split(' ')),
  /** What runs at a seat: the read-only lower layer of both containers. */
  seat: [
    'systemd systemd-sysv udev dbus xserver-xorg-core xserver-xorg-input-libinput xinput xterm',
    'x11-utils x11-xserver-utils xdotool xfonts-base python3-minimal procps evtest alsa-utils kmod iproute2',
  ].flatMap((line) => line.split(' ')),
  hostMasks: [
    ...quietMasks,
    'systemd-timesyncd.service',
    'lxc-net.service',
    'lxc-monitord.service',
    'lxc.service',
    'serial-getty@ttyS0.service',
  ],
  seatMasks: [
    ...quietMasks,
    'systemd-udevd.service',
    'systemd-udevd-kernel.socket',
    'systemd-udevd-control.socket',
    'systemd-udev-trigger.service',
    'systemd-udev-settle.service',
    'getty@.service',
    'console-getty.service',
    'container-getty@.service',
    'systemd-logind.service',
  ],
  initrdModules: ['virtio_pci', 'virtio_blk', 'ext4'],
  diskSize: '8G',
  cmdline: 'root=/dev/vda rw quiet console=tty0 console=ttyS0 systemd.show_status=0 mitigations=off',
} as const;
