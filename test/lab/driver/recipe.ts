// The parts of the lab's disk, as data: their hash is the name of the cached image.

/** For dpkg.cfg(5). As an option of mmdebstrap's it would send each archive through a Python program. */
const slim = ['man', 'doc', 'locale', 'info', 'lintian'].map((dir) => `path-exclude=/usr/share/${dir}/*\\n`).join('');

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
  'systemd-sysctl.service',
  ...['dev-hugepages.mount', 'dev-mqueue.mount', 'run-lock.mount'],
];

/** Generators, which systemd runs at each start and each daemon-reload, for what neither the PC nor a seat has. */
const quietGenerators = ['gpt-auto', 'hibernate-resume', 'import', 'rc-local', 'run', 'ssh', 'system-update', 'tpm2'];

/**
 * Drivers for what QEMU's PC has and no test uses, and for ciphers in other processors' instructions. To load them took a
 * fifth of a boot.
 */
const unwantedModules = [
  'kvm kvm_amd kvm_intel ccp rapl intel_rapl_common intel_rapl_msr edac_mce_amd',
  'ata_generic ata_piix libata scsi_mod floppy parport parport_pc ppdev',
  'i2c_piix4 i2c_smbus serio_raw qemu_fw_cfg',
  'cryptd aesni_intel ghash_clmulni_intel polyval_clmulni sha1_ssse3 sha256_ssse3 sha512_ssse3',
  'crct10dif_pclmul crc32_pclmul',
].flatMap((line) => line.split(' '));

/** Every seat has these: a system, a display server, and the programs with which tests look. `libpam-systemd` makes a session of a login. */
const common = [
  'systemd systemd-sysv udev dbus libpam-systemd xserver-xorg-core xserver-xorg-input-libinput xinput xterm',
  'x11-utils x11-xserver-utils xdotool xfonts-base python3 procps evtest alsa-utils kmod iproute2',
].flatMap((line) => line.split(' '));

export const recipe = {
  version: 10,
  /** Debian's release of the PC itself. */
  suite: 'trixie',
  options: [
    ...['--mode=root', '--variant=minbase'],
    `--extract-hook=mkdir -p "$1/etc/dpkg/dpkg.cfg.d"; printf '${slim}' > "$1/etc/dpkg/dpkg.cfg.d/slim"`,
  ],
  /** The PC itself. */
  host: [
    'linux-image-amd64 initramfs-tools systemd systemd-sysv udev dbus libpam-systemd kbd lxc nodejs',
    'iproute2 procps kmod bpftool python3-minimal evtest git strace',
    // The other engines; none of them runs until a test starts it.
    'systemd-container podman crun conmon uidmap dbus-user-session incus-base docker.io docker-cli',
  ].flatMap((line) => line.split(' ')),
  /**
   * The read-only lower layers of the containers. Their releases need not be that of the PC, and each has the programs alone that a test
   * runs there: to unpack packages is a tenth of a whole run of the tests.
   */
  seats: {
    seat: {
      suite: 'trixie',
      packages: [
        ...common,
        ...['pulseaudio', 'pulseaudio-utils', 'cage', 'wlr-randr', 'libsdl2-2.0-0'],
        // A display manager, and the smallest greeter: it wants one, although all logins here are its own.
        ...['lightdm', 'lightdm-autologin-greeter'],
      ],
    },
    'seat-older': {
      suite: 'bookworm',
      packages: [...common, 'pulseaudio-utils', 'pipewire', 'wireplumber', 'mpd', 'mpc', 'sway'],
    },
  },
  hostMasks: [
    ...quietMasks,
    'systemd-timesyncd.service',
    'lxc-net.service',
    'lxc-monitord.service',
    'lxc.service',
    ...['machines.target', 'podman-auto-update.timer', 'podman-restart.service', 'podman.socket'],
    'serial-getty@ttyS0.service',
    ...[
      'netavark-dhcp-proxy.service',
      'netavark-dhcp-proxy.socket',
      'systemd-binfmt.service',
      'systemd-random-seed.service',
    ],
  ],
  /** That for debugging stays: `systemd.mask=` on the kernel's command line is its work. */
  hostGenerators: quietGenerators,
  seatGenerators: [...quietGenerators, 'debug'],
  /** Units of engines that are not started with the PC. */
  idle: ['docker', 'containerd', 'incus', 'lxcfs', 'podman', 'netavark'],
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
    'lightdm.service',
  ],
  initrdModules: ['virtio_pci', 'virtio_blk', 'ext4'],
  diskSize: '8G',
  cmdline: [
    'root=/dev/vda rw quiet console=tty0 console=ttyS0 systemd.show_status=0 mitigations=off',
    // Emulated, a huge page costs more to clear than it saves: 10 % of everything.
    'transparent_hugepage=never',
    // Hardening that nothing here tests: to clear each page that the kernel hands out costs a sixth of every fork.
    'init_on_alloc=0 randomize_kstack_offset=off',
    // Tests of ciphers, and systemd's program for RestrictFileSystems=, which no unit has: two seconds of each boot.
    'cryptomgr.notests lsm=lockdown,capability,landlock,yama,apparmor',
    // QEMU's hub does not answer to a suspend of its ports: every plug or pull then waits for 5 s.
    'usbcore.autosuspend=-1',
    `module_blacklist=${unwantedModules.join(',')}`,
  ].join(' '),
} as const;
