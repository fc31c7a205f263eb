// Commands that install.test.ts types besides the examples, and where the pages' other commands are tried.

/** Commands that the text names and no example shows. */
export const alsoTyped: readonly string[] = [
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

/** Commands of the test's own steps after that. */
export const typedInSteps = {
  upgrade: (file: string): string => `apt install -y ${file}`,
  stop: 'systemctl stop hotseat',
  byHand: 'hotseat run --policies .',
  consoles: 'hotseat consoles restore',
  remove: 'apt remove -y hotseat',
  purge: 'apt purge -y hotseat',
} as const;

/** The first is a checkout's, the others are those of other tests: the containers that start with the PC are of power.test.ts. */
export const triedElsewhere: readonly string[] = [
  '--dry-run',
  'loginctl attach',
  'loginctl list-seats',
  '--signers',
  'hotseat run --signers FILE',
  'systemctl enable lxc@left lxc@right',
  'systemctl restart hotseat',
  'hotseat release',
];
