import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { SeatStatus, Status } from '../../agent/control/messages.js';
import { diagnose } from '../../agent/doctor/doctor.js';
import type { CardFacts, ContainerFacts, Facts, SeatFacts, SeatLoad, SoundFacts } from '../../agent/doctor/facts.js';
import type { Finding } from '../../agent/doctor/finding.js';
import { deniesBpf } from '../../agent/doctor/lxc-config.js';
import { placeOf } from '../../agent/doctor/policy-facts.js';
import { unitOf } from '../../agent/doctor/service-facts.js';
import type { SeatShares } from '../../agent/shares/words.js';

const left = { engine: 'lxc', name: 'left' } as const;

const seatStatus: SeatStatus = {
  seat: 'left',
  container: 'left',
  engine: 'lxc',
  state: 'running',
  reason: undefined,
  problem: undefined,
  deaf: [],
  devices: [
    { node: '/dev/input/event2', name: 'a keyboard', rule: 'left.yaml:4', announced: true },
    { node: '/dev/dri/card1', name: 'card1', rule: 'left.yaml:6', announced: true },
  ],
  unmatched: [],
  udev: 'ours',
};
const shares: SeatShares = {
  resources: [],
  group: '/sys/fs/cgroup/lxc.payload.left',
  means: 'the files of lxc.payload.left',
  problem: undefined,
  pressure: {},
  memoryBytes: undefined,
  endsFirst: false,
  processes: undefined,
};
const silent: SoundFacts = { servers: [], cards: [], refused: [], taken: [] };
const status: Status = {
  revision: '1a2b',
  policyErrors: [],
  trialEnds: undefined,
  seats: [seatStatus],
  conflicts: [],
  leaks: [],
  withheld: [],
  unread: [],
  left: [],
  host: [],
  udev: { events: 0, overruns: 0, restarts: 0 },
  engines: [{ engine: 'lxc', place: 'lxc-monitor', reason: undefined, words: 3 }],
  attached: [],
  pid: 1,
};
const container: ContainerFacts = {
  sharesNetwork: false,
  init: 'systemd',
  ungrafted: [],
  configured: true,
  ownUdevd: false,
  deaf: [],
  mayEditMaps: false,
  mayLeaveCgroup: false,
  xorg: { files: [], drivers: ['libinput_drv.so'] },
  cards: [
    {
      card: 'card1',
      outputs: [
        { name: 'DP-1', isConnected: true, isLit: true },
        { name: 'DP-2', isConnected: false, isLit: false },
      ],
      openedBy: ['Xorg (pid 5)'],
    },
  ],
  sound: { servers: ['pipewire (pid 7)'], cards: ['card0'], refused: [], taken: [] },
};

/** A PC with one seat, in order. */
const sound: Facts = {
  kernel: {
    release: '6.12',
    disabled: false,
    cgroups: '/sys/fs/cgroup',
    tried: {
      refusals: { openat2: undefined, pidfd: undefined, mounts: undefined, 'device programs': undefined },
      withdrawal: undefined,
      ...{ rings: undefined, files: undefined, inits: undefined },
    },
  },
  service: {
    udevd: { refusal: undefined },
    rules: true,
    unit: { load: 'loaded', active: 'active', file: 'enabled', result: 'success', restarts: 0 },
    agent: { status },
  },
  boot: {
    seats: true,
    muted: true,
    wrong: [],
    covers: undefined,
    unit: { load: 'loaded', active: 'active', file: 'static', result: 'success', restarts: 0 },
    resets: [],
    greeted: [],
  },
  policy: { place: '/etc/hotseat/policies', errors: [], seats: [{ seat: 'left', container: left }] },
  engines: [{ engine: 'lxc', version: '6.0.4' }],
  seats: [{ seat: 'left', container: left, found: container }],
};

const bad = (facts: Facts): Finding[] => diagnose(facts).filter(({ level }) => level !== 'ok');
const seat = (found: Partial<ContainerFacts>): SeatFacts => ({
  seat: 'left',
  container: left,
  found: { ...container, ...found },
});
const service = (changed: Partial<Facts['service']>): Facts => ({
  ...sound,
  service: { ...sound.service, ...changed },
});
const boot = (changed: object): Facts => ({ ...sound, boot: { ...sound.boot, ...changed } as never });
const kernel = (changed: Partial<Facts['kernel']>): Facts => ({ ...sound, kernel: { ...sound.kernel, ...changed } });
const unit = (changed: object): Facts => service({ unit: { ...sound.service.unit, ...changed } as never });
const agent = (changed: Partial<Status>): Facts => service({ agent: { status: { ...status, ...changed } } });
const tried = (changed: object): Facts => kernel({ tried: { ...sound.kernel.tried, ...changed } as never });

test('a seat without a screen needs no keyboard', () => {
  const facts = agent({ seats: [{ ...seatStatus, devices: [] }] });
  assert.equal(bad({ ...facts, seats: [seat({ cards: [], xorg: undefined, sound: silent })] }), []);
});

test('a PC in order has nothing but good findings, in every area', () => {
  assert.equal(bad(sound), []);
  assert.equal([...new Set(diagnose(sound).map(({ area }) => area))].sort(), [
    'boot',
    'engines',
    'kernel',
    'policy',
    'seat left',
    'service',
    'udev',
  ]);
});

test('an engine with two logs is heard when one of them is', () => {
  const log = { engine: 'podman' as const, words: 0 };
  const facts = agent({
    engines: [
      { ...log, place: 'the journal', reason: undefined },
      { ...log, place: 'events.log', reason: 'no such file' },
    ],
  });
  assert.equal(bad(facts), []);
  assert.ok(diagnose(facts).some(({ text }) => text === 'podman: the agent hears its events: the journal'));
});

test('hybrid cgroups are as good as unified ones', () => {
  const facts = kernel({ cgroups: '/sys/fs/cgroup/unified' });
  assert.equal(bad(facts), []);
  assert.ok(diagnose(facts).some(({ text }) => text === 'cgroups are hybrid: grants hang on /sys/fs/cgroup/unified'));
});

const screen = (changed: Partial<CardFacts>): Facts => ({
  ...sound,
  seats: [seat({ cards: container.cards.map((card) => ({ ...card, ...changed })) })],
});
const dark = { name: 'DP-1', isConnected: true, isLit: false };
const playing = (changed: Partial<SoundFacts>): Facts => ({
  ...sound,
  seats: [seat({ sound: { ...container.sound, ...changed } })],
});
const calm: SeatLoad = {
  seats: ['left'],
  processors: 0.1,
  waits: { cpu: 3, memory: 0, io: 1 },
  processes: 50,
  mostProcesses: 100,
};
const load = (changed: Partial<SeatLoad>): Facts => ({
  ...sound,
  load: {
    processors: 4,
    rest: 0.2,
    seats: [
      { ...calm, ...changed },
      { ...calm, seats: ['right'], processors: 3.6 },
    ],
  },
});

const cases: readonly (readonly [string, Facts, Finding['level'], string, RegExp])[] = [
  [
    'a kernel without openat2',
    tried({ refusals: { openat2: 'ENOSYS' } }),
    'problem',
    'kernel',
    /^no openat2 .*ENOSYS$/,
  ],
  ['no withdrawal', tried({ withdrawal: 'no kprobes' }), 'warning', 'kernel', /withdraw a grant by itself: no kprobes/],
  [
    'no rings',
    tried({ rings: 'no BTF' }),
    'warning',
    'kernel',
    /does not tell which processes have an io_uring: no BTF/,
  ],
  [
    'no open files',
    tried({ files: 'EPERM' }),
    'warning',
    'kernel',
    /does not tell which processes have a device open: EPERM/,
  ],
  ['no inits', tried({ inits: 'EINVAL' }), 'warning', 'kernel', /which processes are inits of containers: EINVAL/],
  [
    'no cgroup2',
    kernel({ cgroups: undefined }),
    'problem',
    'kernel',
    /nothing can be granted safely: there is no cgroup2 hierarchy/,
  ],
  ['udevd silent', service({ udevd: { refusal: 'timeout' } }), 'problem', 'udev', /udevd does not answer: timeout/],
  ['no rules on the host', service({ rules: false }), 'problem', 'udev', /rules are missing/],
  ['no unit', unit({ load: 'not-found', active: 'inactive' }), 'problem', 'service', /not installed/],
  [
    'a unit that failed',
    unit({ active: 'failed', result: 'watchdog' }),
    'problem',
    'service',
    /failed, because of watchdog/,
  ],
  ['a unit that is off', unit({ active: 'inactive' }), 'problem', 'service', /is inactive$/],
  ['a unit not enabled', unit({ file: 'disabled' }), 'warning', 'service', /not started at boot/],
  ['a unit that crashes', unit({ restarts: 3 }), 'warning', 'service', /again 3 times/],
  ['an agent that is silent', service({ agent: { silent: 'no answer' } }), 'problem', 'service', /^no answer$/],
  ['a refused policy', agent({ policyErrors: ['left.yaml:1:1: x'] }), 'problem', 'service', /refused: left.yaml:1:1/],
  ['a conflict', agent({ conflicts: [{ device: '/d', rules: ['a', 'b'] }] }), 'problem', 'service', /a and b/],
  [
    'an engine that is not heard',
    agent({ engines: [{ engine: 'docker', place: '/run/docker.sock', reason: 'dockerd does not run', words: 0 }] }),
    'warning',
    'engines',
    /^docker: its events are not heard: dockerd does not run$/,
  ],
  [
    'a rule for the boot that is another',
    boot({ wrong: ['/etc/x.rules'] }),
    'problem',
    'boot',
    /^\/etc\/x\.rules differs/,
  ],
  [
    'the agent’s rules covered',
    boot({ covers: '/etc/x.rules' }),
    'problem',
    'boot',
    /^\/etc\/x\.rules takes the place/,
  ],
  ['nobody to mute', boot({ unit: { load: 'not-found' } }), 'problem', 'boot', /not installed$/],
  ['muting masked', boot({ unit: { load: 'masked' } }), 'problem', 'boot', /is masked/],
  [
    'muting that failed',
    boot({ unit: { load: 'loaded', active: 'failed', result: 'timeout' } }),
    'problem',
    'boot',
    /because of timeout/,
  ],
  ['a login prompt that resets', boot({ resets: ['getty@tty1.service'] }), 'warning', 'boot', /^getty@tty1\.service/],
  [
    'a display manager that was installed later',
    boot({ greeted: ['seat-left'] }),
    'warning',
    'boot',
    /^logind knows seat-left: the display manager/,
  ],
  [
    'a rule without seats',
    boot({ seats: false, muted: false, wrong: ['/etc/x'] }),
    'problem',
    'boot',
    /^\/etc\/x differs/,
  ],
  [
    'a trail that cannot be written',
    agent({ audit: 'ENOSPC' }),
    'problem',
    'service',
    /trail cannot be written: ENOSPC$/,
  ],
  [
    'a udev rule with the last word',
    agent({ host: [{ device: '/dev/input/event3', reason: 'udev has it at seat9 (/etc/x.rules:1): sort it before' }] }),
    'problem',
    'udev',
    /^\/dev\/input\/event3: udev has it at seat9 \(\/etc\/x\.rules:1\)$/,
  ],
  ['a leak', agent({ leaks: ['consoles are open'] }), 'warning', 'service', /consoles are open/],
  [
    'an agent that hears of no device',
    agent({ udev: { ...status.udev, away: 'udevd is away' } }),
    'problem',
    'udev',
    /^the agent hears of no device: udevd is away$/,
  ],
  ['a policy on trial', agent({ trialEnds: 'noon' }), 'warning', 'service', /^the policy is on trial until noon$/],
  [
    'a raw node that nobody gets',
    agent({ withheld: [{ device: '/dev/hidraw0', reason: 'two seats have a part of it' }] }),
    'warning',
    'service',
    /^\/dev\/hidraw0 does not come along: two seats/,
  ],
  ['a seat in trouble', agent({ seats: [{ ...seatStatus, problem: 'oh' }] }), 'problem', 'seat left', /^oh$/],
  [
    'a seat whose shares are not set',
    agent({ seats: [{ ...seatStatus, shares: { ...shares, problem: 'cpu: no controller' } }] }),
    'warning',
    'seat left',
    /^its shares are not as its file asks: cpu: no controller$/,
  ],
  [
    'a seat without the holder',
    agent({
      seats: [{ ...seatStatus, served: { isOpen: false, opened: [], problem: 'the holder cannot be reached' } }],
    }),
    'problem',
    'seat left',
    /can open a device: the holder cannot be reached$/,
  ],
  [
    'a container that still has devices of another seat',
    agent({
      seats: [{ ...seatStatus, state: 'waiting', reason: 'lxc container left still has devices of seat right' }],
    }),
    'problem',
    'seat left',
    /^the agent gives its container nothing: lxc container left still has devices of seat right$/,
  ],
  [
    'a container without a known root',
    agent({ seats: [{ ...seatStatus, state: 'unclear' }] }),
    'problem',
    'seat left',
    /^nobody can tell who root of its container is/,
  ],
  ['a container in setup', agent({ seats: [{ ...seatStatus, state: 'setup' }] }), 'warning', 'seat left', /sets its/],
  ['a frozen container', agent({ seats: [{ ...seatStatus, state: 'frozen' }] }), 'warning', 'seat left', /is frozen/],
  [
    'a seat at which nobody can type',
    agent({
      seats: [
        { ...seatStatus, devices: seatStatus.devices.slice(1), unmatched: [{ label: 'x', place: 'left.yaml:4' }] },
      ],
    }),
    'warning',
    'seat left',
    /^it has no input device; rules that have matched nothing: left\.yaml:4$/,
  ],
  ['a policy with mistakes', { ...sound, policy: { ...sound.policy, errors: ['x'] } }, 'problem', 'policy', /^x$/],
  ['an engine that is missing', { ...sound, engines: [] }, 'problem', 'engines', /lxc is not installed/],
  [
    'no container',
    { ...sound, seats: [{ ...seat({}), found: { absent: 'none runs' } }] },
    'warning',
    'seat left',
    /^none/,
  ],
  ['a network shared', { ...sound, seats: [seat({ sharesNetwork: true })] }, 'problem', 'seat left', /network/],
  ['a lost graft', { ...sound, seats: [seat({ ungrafted: ['/run/udev'] })] }, 'problem', 'seat left', /\/run\/udev/],
  ['a live graft', { ...sound, seats: [seat({ configured: false })] }, 'warning', 'seat left', /grafted live/],
  ['somebody deaf', { ...sound, seats: [seat({ deaf: ['Xorg (pid 5)'] })] }, 'problem', 'seat left', /Xorg \(pid 5\)/],
  ['a udevd inside', { ...sound, seats: [seat({ ownUdevd: true })] }, 'warning', 'seat left', /udevd of its own/],
  [
    'a root that can leave its group',
    { ...sound, seats: [seat({ mayLeaveCgroup: true })] },
    'problem',
    'seat left',
    /shares the host's cgroup namespace/,
  ],
  ['a root to trust', { ...sound, seats: [seat({ mayEditMaps: true })] }, 'warning', 'seat left', /CAP_SYS_ADMIN/],
  [
    'a device given by hand',
    agent({ attached: [{ name: 'a pad', port: 'usb-1', seat: 'right', until: undefined, by: 1000 }] }),
    'warning',
    'service',
    /^a pad \(usb-1\) was given to right by hand, by uid 1000, until a boot$/,
  ],
  ['an Xorg without a card', { ...sound, seats: [seat({ cards: [] })] }, 'warning', 'seat left', /no graphics card/],
  [
    'no monitor',
    screen({ outputs: [{ name: 'DP-1', isConnected: false, isLit: false }] }),
    'warning',
    'seat left',
    /^no monitor is connected to card1 \(DP-1\)$/,
  ],
  ['nobody who draws', screen({ openedBy: [] }), 'warning', 'seat left', /nothing is drawn there$/],
  [
    'a dark monitor',
    screen({ outputs: [dark] }),
    'warning',
    'seat left',
    /DP-1 of card1, and Xorg \(pid 5\) shows nothing/,
  ],
  [
    'a player without a card',
    playing({ cards: [] }),
    'warning',
    'seat left',
    /no sound card, and pipewire \(pid 7\) runs/,
  ],
  [
    'a player that may not',
    playing({ refused: [{ server: 'mpd (pid 9)', node: '/dev/snd/controlC0' }] }),
    'warning',
    'seat left',
    /^mpd \(pid 9\) may not open \/dev\/snd\/controlC0/,
  ],
  [
    'a card in use',
    playing({ taken: [{ card: 'card0', by: 'mpd (pid 9)' }] }),
    'warning',
    'seat left',
    /^card0 plays for mpd/,
  ],
  [
    'a seat that waits for processors',
    load({ waits: { cpu: 63.4 } }),
    'warning',
    'shares',
    /^left: in 63 % of the last 10 s .*4 processors, of which left uses 0\.1, right uses 3\.6, the rest of the PC uses 0\.2$/,
  ],
  [
    'a seat that waits for memory',
    load({ waits: { memory: 11 } }),
    'warning',
    'shares',
    /^left: in 11 % .* for memory$/,
  ],
  ['a seat that waits for disks', load({ waits: { io: 50 } }), 'warning', 'shares', /^left: in 50 % .* for a disk$/],
  ['a seat with too many processes', load({ processes: 95 }), 'warning', 'shares', /^left: it has 95 of 100 processes/],
  ['a hung file system', { ...sound, seats: [seat({ xorg: { unread: 'hangs' } })] }, 'warning', 'seat left', /hangs/],
];

for (const [name, facts, level, area, text] of cases) {
  test(`${name}: one ${level}, with a remedy`, () => {
    const findings = bad(facts);
    assert.equal(
      findings.map((finding) => [finding.level, finding.area]),
      [[level, area]],
      JSON.stringify(findings),
    );
    const [finding] = findings;
    assert.match(finding?.text ?? '', text);
    assert.ok(finding !== undefined && finding.level !== 'ok' && finding.remedy.length > 0);
  });
}

test('a seat that needs no screen and no sound is told of none, and a calm PC says who uses it', () => {
  const plain = seat({ cards: [], xorg: undefined, sound: { servers: [], cards: [], refused: [], taken: [] } });
  assert.equal(bad({ ...sound, seats: [plain] }), []);
  assert.equal(bad(load({})), []);
  assert.ok(diagnose(load({})).some(({ text }) => text.startsWith('no seat waits long; 4 processors')));
});

test('with hotseat.disable that alone is said, not what follows from it', () => {
  const off = unit({ active: 'inactive' });
  const disabled = { ...off, kernel: { ...sound.kernel, disabled: true } };
  assert.equal(
    bad({ ...disabled, service: { ...disabled.service, agent: { silent: 'nobody' } } }).map(({ text }) => text),
    ["hotseat.disable is on the command line: nothing of Hotseat starts, every device is the host's"],
  );
});

test('consoles that the policy leaves open are nobody’s to mute', () => {
  const facts = boot({ muted: false, unit: { load: 'not-found' }, resets: ['getty@tty1.service'] });
  assert.equal(bad(facts), []);
  assert.ok(diagnose(facts).some(({ text }) => text.endsWith('leaves the consoles open, as the policy says')));
});

test('an ordinary user is told what was not looked at', () => {
  const facts = { ...kernel({ tried: undefined }), seats: undefined };
  assert.equal(
    bad({ ...facts, service: { ...facts.service, udevd: undefined } }).map(
      (finding) => finding.level !== 'ok' && finding.remedy,
    ),
    ['run it as root'],
  );
});

test('an ordinary user who may not ask the agent is told so, and that is no problem of the PC', () => {
  const findings = bad(service({ udevd: undefined, agent: { silent: 'no permission' } }));
  assert.equal(
    findings.map(({ level, text }) => [level, text]),
    [['warning', 'no permission']],
  );
});

const xorg = (text: string, drivers = ['libinput_drv.so']): string[] =>
  bad({ ...sound, seats: [seat({ xorg: { files: [{ path: '/etc/X11/xorg.conf', text }], drivers } })] }).map(
    (finding) => `${finding.level}: ${finding.text.split(':').slice(0, 2).join(':')}`,
  );

test('an Xorg that takes no device is found whatever way its configuration says so', () => {
  const says = 'problem: /etc/X11/xorg.conf:1 says AutoAddDevices off';
  for (const value of ['"off"', '"False"', '"0"', '"no"', 'off']) {
    assert.equal(xorg(`Section "ServerFlags"\n Option "AutoAddDevices" ${value}\nEndSection\n`), [says], value);
  }
  assert.equal(xorg('section "Server_Flags"\noption "auto add_devices" "OFF"\nendsection'), [says]);
  assert.equal(xorg('Section "ServerLayout"\nOption "AutoEnableDevices" "false"\nEndSection'), [
    'problem: /etc/X11/xorg.conf:1 says AutoEnableDevices off',
  ]);
});

test('what is a comment, on, or elsewhere is no finding', () => {
  for (const text of [
    '',
    'Section "ServerFlags"\n# Option "AutoAddDevices" "off"\nEndSection',
    'Section "ServerFlags"\nOption "AutoAddDevices" "on" # "off"\nEndSection',
    'Section "ServerFlags"\nOption "AutoAddDevices"\nEndSection',
    'Section "Device"\nOption "AutoAddDevices" "off"\nEndSection',
    'Option "AutoAddDevices" "off"',
    'Section "InputDevice"\nDriver "void"\nEndSection',
    'Section "ServerFlags"\nOption "AutoAddDevices" "off"',
    'Section "InputClass"\nOption "Device" "/dev/input/event3"\nEndSection',
  ]) {
    assert.equal(xorg(text), [], text);
  }
});

test('a fixed input device, and an Xorg without a driver, are found', () => {
  const text = '\nSection "InputDevice"\n\tIdentifier "Keyboard0"\n\tOption "Device" "/dev/input/event2"\nEndSection\n';
  assert.equal(xorg(text), ['warning: /etc/X11/xorg.conf:2 fixes an input device, /dev/input/event2']);
  assert.equal(xorg('', ['inputtest_drv.so']), ['problem: its Xorg has no driver for input devices']);
  assert.equal(xorg('', ['evdev_drv.so']), []);
});

test('a seccomp profile is believed when it forbids bpf on every architecture', () => {
  const denied = '2\ndenylist\nreject_force_umount  # comment\n[all]\nkexec_load errno 1\nbpf errno 1\n';
  assert.is(deniesBpf(denied), true);
  assert.is(deniesBpf(denied.replace('denylist', 'blacklist')), true);
  assert.is(deniesBpf(denied.replace('[all]', '[x86_64]')), false);
  assert.is(deniesBpf(denied.replace('bpf errno 1', '# bpf errno 1')), false);
  assert.is(deniesBpf(denied.replace('bpf errno', 'bpf_x errno')), false);
  assert.is(deniesBpf('2\nallowlist\nread\nwrite\n'), true);
  assert.is(deniesBpf('2\nallowlist\nread\nbpf\n'), false);
  assert.is(deniesBpf(''), false);
});

test('where the policy is is read as systemd reads it', () => {
  const usual = '/etc/hotseat/policies';
  const none = { policies: usual, ref: undefined, signers: undefined };
  assert.equal(placeOf('', usual), none);
  assert.equal(placeOf('HOTSEAT_OPTIONS=\n', usual), none);
  assert.equal(placeOf('#HOTSEAT_OPTIONS="--ref x"\n', usual), none);
  const ref = { ...none, ref: 'refs/heads/main' };
  assert.equal(placeOf('HOTSEAT_OPTIONS="--ref refs/heads/main"\n', usual), ref);
  assert.equal(placeOf("HOTSEAT_OPTIONS='--ref=refs/heads/main'", usual), ref);
  assert.equal(placeOf('HOTSEAT_OPTIONS=--ref refs/heads/main --log-level debug\nX=y\n', usual), ref);
  assert.equal(placeOf('HOTSEAT_OPTIONS="--policies /srv/p --signers /etc/s"', usual), {
    policies: '/srv/p',
    ref: undefined,
    signers: '/etc/s',
  });
});

test('what systemctl says is read by name', () => {
  const text = 'Result=exit-code\nNRestarts=4\nLoadState=loaded\nActiveState=failed\nUnitFileState=enabled';
  assert.equal(unitOf(text), { load: 'loaded', active: 'failed', file: 'enabled', result: 'exit-code', restarts: 4 });
});

test('an Xorg that has an output of a shared card needs no card', () => {
  const card = {
    card: '/dev/dri/card1',
    outputs: [],
    state: 'leased',
    leased: ['DP-1'],
    sharedWith: ['right'],
  } as const;
  const facts = { ...sound, seats: [seat({ cards: [] })] };
  const { agent: running } = facts.service;
  assert.ok(!('silent' in running));
  const seats = running.status.seats.map((one) => ({ ...one, outputs: [card] }));
  const shared = {
    ...facts,
    service: { ...facts.service, agent: { ...running, status: { ...running.status, seats } } },
  };
  const black = (of: Facts) => diagnose(of).filter(({ text }) => /no graphics card/.test(text)).length;
  assert.equal([black(facts), black(shared)], [1, 0]);
  const pictures = (why: string | undefined) => {
    const seen = running.status.seats.map((one) => ({ ...one, outputs: [{ ...card, unguarded: why }] }));
    const service = { ...facts.service, agent: { ...running, status: { ...running.status, seats: seen } } };
    const found = diagnose({ ...facts, service }).filter(({ text }) => /share \/dev\/dri\/card1/.test(text));
    return found.map(({ level, text }) => `${level}: ${text.replace(/^.*share/, 'share')}`);
  };
  const trust = 'they trust each other more than seats with a card each';
  const can = "can show the others' pictures on their own outputs, and cannot read or change them";
  assert.equal(pictures(undefined), [`warning: share /dev/dri/card1: programs of each ${can}: ${trust}`]);
  assert.equal(pictures('there is no BTF'), [
    `warning: share /dev/dri/card1: programs of each can see and change what the others show, because there is no BTF: ${trust}`,
  ]);
});

test.run();
