// The rows of `npm run bench`, and how each is measured.

/** Names that `--only` takes. */
export const rows = {
  plug: 'in process: messages about a keyboard → node, links, records, grant, announcement sent',
  unplug: 'in process: messages about its removal → everything taken back',
  heard: 'as plug, from a datagram sent: the udev process included',
  burst: 'many keyboards at once, from the first datagram sent to the last announcement',
  same: 'in process: a message that changes nothing → nothing left to be done',
  look: 'what is done every 30 s: in all, and the longest piece on the event loop',
  seatd: 'a device opened at a seat’s socket by a display server, until it has the descriptor',
  decide: 'everything judged and planned, without a look at the kernel',
  idle: 'the whole agent at rest: wake-ups and memory',
  peers: 'what scripts on udev rules start, where LXC is installed: lxc-device, lxc-attach mknod',
} as const;

export type RowName = keyof typeof rows;
