// The rows of `npm run bench:lab`.

/** Names that `--only` takes. */
export const rows = {
  floor: 'the bare system calls in the emulated PC, from a native program',
  usable: 'a uinput keyboard, LXC: the kernel’s uevent → a program in the container has opened the node',
  gone: 'its removal: the kernel’s uevent → the container knows, and nothing of it is left',
  burst: 'many at once',
  peers: 'scripts on udev rules: lxc-device, lxc-attach mknod, docker exec mknod; bare, and with record and message',
  incus: 'a USB keyboard plugged into Incus: ours, and its own unix-hotplug',
} as const;

export type RowName = keyof typeof rows;
