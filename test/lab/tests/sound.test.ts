import * as assert from 'uvu/assert';
import { type Seat, seats } from '../driver/lab.js';
import { preparedLab } from '../driver/prepared.js';
import { policyDirectory, reload, seatStatus } from '../driver/service.js';
import { test } from '../driver/test.js';
import { pulse, settle, sounding } from './sounding.js';

const lab = await preparedLab();

const { inside, service, anna, asAnna, cardNodes, noCard, until, hears } = sounding(lab);

async function addRule(seat: Seat, rule: string): Promise<void> {
  const file = `${policyDirectory}/${seat}.yaml`;
  await lab.putFile(file, `${await lab.sh(`cat ${file}`)}\n  - ${rule}\n`);
}

const pulseModules = ['-L', 'module-native-protocol-unix', '-L', 'module-udev-detect', '-L', 'module-null-sink'];

test.before(async () => {
  // In a virtual machine PulseAudio does not trust the clock and asks the kernel's timer instead (alsa-util.c).
  const file = `${policyDirectory}/left.yaml`;
  await lab.putFile(file, (await lab.sh(`cat ${file}`)).replace('\ndevices:', '\nextra: snd/timer\ndevices:'));
  await reload(lab);
  for (const seat of seats) await inside(seat, settle);
  await service('left', 'pulse', ...pulse, ...pulseModules);
  await until('PulseAudio at left', 'left', 'ls /run/anna/pulse/native', /native/);
});

test('a USB sound card plugged at a seat: its nodes are there, of the group audio, the neighbour has none', async () => {
  await lab.plug({ seat: 'left', driver: 'usb-audio', id: 'card' });
  await until('nodes at left', 'left', 'ls /dev/snd', /controlC\d/);
  const stat = await inside('left', "stat -c '%n %G %a' /dev/snd/*C*");
  assert.match(stat, /\/dev\/snd\/controlC\d audio 660/);
  assert.match(stat, /\/dev\/snd\/pcmC\dD0p audio 660/);
  assert.is(await cardNodes('right'), '');
});

test('PulseAudio, which is not root, loads the card by itself and plays on it', async () => {
  await until('the card in PulseAudio', 'left', `${anna} pactl list short sinks`, /usb/);
  const sink = (await asAnna('left', 'pactl list short sinks')).split(/\s/).find((word) => /usb/.test(word)) ?? '';
  await service('left', 'tone', 'paplay', `--device=${sink}`, '/srv/tone.wav');
  await hears('paplay');
});

test('the neighbour’s root cannot open the card with a node of its own making', async () => {
  const minor = await lab.sh('cut -d: -f2 /sys/class/sound/controlC*/dev | head -1');
  const { code, stderr } = await lab.inContainer(
    'right',
    ['bash', '-c', `rm -f /root/card; mknod /root/card c 116 ${minor}; exec 3</root/card`],
    { allowFailure: true },
  );
  assert.is.not(code, 0);
  assert.match(stderr, /not permitted/);
});

test('unplugged, it goes from PulseAudio and from /dev', async () => {
  await lab.unplug('card');
  await noCard('left');
  await until('no card in PulseAudio', 'left', `${anna} pactl list short cards | wc -l`, /^0$/);
  assert.equal(
    (await seatStatus(lab, 'left'))?.devices.filter(({ node }) => /\/snd\/\w+C\d/.test(node ?? '')),
    [],
  );
});

test('PipeWire at the other seat takes a card that is plugged there, plays, and lets it go', async () => {
  await inside('right', 'mkdir -p /etc/wireplumber; true');
  await service(
    'right',
    'pipewire',
    'dbus-run-session',
    '--',
    'bash',
    '-c',
    'pipewire & until [ -S /run/anna/pipewire-0 ]; do sleep 0.1; done; exec wireplumber',
  );
  await until('PipeWire at right', 'right', 'ls /run/anna/pipewire-0', /pipewire-0/);
  await lab.plug({ seat: 'right', driver: 'usb-audio', id: 'card' });
  const list = `${anna} wpctl status`;
  await until('the card in wpctl status', 'right', list, /QEMU USB Audio/i, 90_000);
  assert.is(await cardNodes('left'), '');
  await service('right', 'tone', 'pw-play', '/srv/tone.wav');
  await hears('pw-play');
  await lab.unplug('card');
  await lab.until('no card in wpctl status', async () => !/QEMU USB Audio/i.test(await inside('right', list)));
});

test('a shared card: MPD in a container plays through it, and goes on after a replug', async () => {
  for (const seat of seats)
    await addRule(
      seat,
      '{ label: shared speakers, share: true, match: { subsystem: sound, ID_SERIAL_SHORT: SHARED } }',
    );
  await reload(lab);
  const config = [
    'music_directory "/srv"',
    'bind_to_address "/run/anna/mpd"',
    'db_file "/home/anna/mpd.db"',
    'auto_update "no"',
    'restore_paused "no"',
    ...['audio_output {', 'type "alsa"', 'name "card"', 'device "plughw:CARD=Audio"', 'mixer_type "none"', '}'],
    '',
  ].join('\n');
  await lab.inContainer('right', ['sh', '-c', 'cat > /etc/mpd-seat.conf'], { stdin: config });
  await inside('right', 'systemctl stop pipewire || true');
  await lab.plug({ seat: 'host', driver: 'usb-audio', id: 'shared', serial: 'SHARED' });
  for (const seat of seats) await until(`the shared card at ${seat}`, seat, 'ls /dev/snd', /controlC\d/);
  await service('right', 'music', 'mpd', '--no-daemon', '/etc/mpd-seat.conf');
  await until('MPD', 'right', 'ls /run/anna/mpd', /mpd/);
  await asAnna('right', 'mpc --host=/run/anna/mpd update --wait', 60_000);
  await asAnna('right', 'mpc --host=/run/anna/mpd repeat on');
  await asAnna('right', 'mpc --host=/run/anna/mpd add tone.wav');
  await asAnna('right', 'mpc --host=/run/anna/mpd play');
  await hears('MPD');
  await lab.unplug('shared');
  for (const seat of seats) await noCard(seat);
  await lab.plug({ seat: 'host', driver: 'usb-audio', id: 'shared', serial: 'SHARED' });
  await until('the card again', 'right', 'ls /dev/snd', /controlC\d/);
  await hears('MPD after the replug');
});

test('a playing card that changes hands is taken from its old seat', async () => {
  await lab.sh(`sed -i '/shared speakers/d' ${policyDirectory}/*.yaml`);
  await addRule('left', '{ label: my speakers, match: { subsystem: sound, ID_SERIAL_SHORT: SHARED } }');
  await reload(lab);
  await noCard('right');
  await until('the card at left alone', 'left', 'ls /dev/snd', /controlC\d/);
  const holders = "find /proc/[0-9]*/fd -lname '/dev/snd/pcm*' 2>/dev/null | cut -d/ -f3 | sort -u";
  for (const pid of (await lab.sh(`${holders} || true`)).split('\n').filter(Boolean)) {
    assert.not.match(await lab.sh(`cat /proc/${pid}/cgroup`), /right/);
  }
  assert.ok((await seatStatus(lab, 'left'))?.devices.some(({ node }) => node?.startsWith('/dev/snd/controlC')));
});

test('seq and timer, which join seats, go to whom names them and to nobody else', async () => {
  await lab.sh('modprobe snd-seq');
  await lab.sh(`sed -i 's|^extra: .*|extra: [snd/seq, snd/timer]|' ${policyDirectory}/left.yaml`);
  await reload(lab);
  await until('seq at left', 'left', 'ls /dev/snd', /seq[\s\S]*timer/);
  await inside('left', 'exec 3<>/dev/snd/seq');
  assert.not.match(await inside('right', 'ls /dev/snd'), /seq|timer/);
});

test('owner, group and mode by policy, in the container’s own names', async () => {
  await lab.sh(
    `sed -i 's/label: my speakers,/label: my speakers, owner: anna, group: video, mode: "0600",/' ${policyDirectory}/left.yaml`,
  );
  await reload(lab);
  await until('the new owner', 'left', "stat -c '%U %G %a' /dev/snd/controlC*", /^anna video 600$/);
});

/** Opens a card for playing without waiting for it, as alsa-lib does (pcm_hw.c, snd_pcm_hw_open): `plays`, or the error. */
const tryToPlay = (seat: Seat): Promise<string> =>
  inside(
    seat,
    `python3 - <<'END'
import errno, glob, os
try:
    os.close(os.open(glob.glob('/dev/snd/pcmC*D0p')[0], os.O_WRONLY | os.O_NONBLOCK))
    print('plays')
except OSError as error:
    print(errno.errorcode[error.errno])
END`,
  );

test('two seats at one card: as many play at once as it has substreams', async () => {
  await lab.unplug('shared');
  await noCard('left');
  await inside('left', 'systemctl stop pulse || true');
  for (const seat of seats)
    await addRule(seat, '{ label: one for both, share: true, match: { subsystem: sound, attr: { id: Dummy } } }');
  await reload(lab);
  for (const [substreams, second] of [
    [1, 'EBUSY'],
    [2, 'plays'],
  ] as const) {
    await lab.sh(`modprobe snd-dummy pcm_devs=1 pcm_substreams=${substreams}`);
    for (const seat of seats) await until(`the card of both at ${seat}`, seat, 'ls /dev/snd', /controlC\d/);
    const player = `player${substreams}`;
    await service('left', player, 'bash', '-c', 'exec 3>"$(ls /dev/snd/pcmC*D0p)"; exec sleep 600');
    await lab.until('left has it open', async () =>
      /^state/.test(await lab.sh('cat /proc/asound/Dummy/pcm0p/sub0/status')),
    );
    assert.is(await tryToPlay('right'), second, `${substreams} substreams`);
    await inside('left', `systemctl stop ${player}`);
    assert.is(await tryToPlay('right'), 'plays');
    await lab.sh('modprobe -r snd-dummy');
    for (const seat of seats) await noCard(seat);
  }
});

/** Has the status page of a stream mapped, and no descriptor of it (snd_pcm_mmap in sound/core/pcm_native.c). */
const mapped = `
import ctypes, glob, os, time
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
stream = os.open(glob.glob('/dev/snd/pcmC*D0p')[0], os.O_RDWR | os.O_NONBLOCK)
page = libc.mmap(None, ctypes.c_size_t(4096), 1, 1, stream, ctypes.c_long(0x80000000))
assert page != 2**64 - 1
os.close(stream)
time.sleep(600)`;

test('a card that somebody has mapped, and that is on nothing that can be bound again, stays and is named', async () => {
  const problem = async () => (await seatStatus(lab, 'left'))?.problem;
  await lab.sh(`sed -i '/one for both/d' ${policyDirectory}/*.yaml`);
  await addRule('left', '{ label: a card without a bus, match: { subsystem: sound, attr: { id: Dummy } } }');
  await reload(lab);
  await lab.sh('modprobe snd-dummy pcm_devs=1 pcm_substreams=1');
  await until('the card at left', 'left', 'ls /dev/snd', /controlC\d/);
  await service('left', 'mapped', 'python3', '-c', mapped);
  await lab.until('its stream to be open', async () =>
    /^subdevices_avail: 0$/m.test(await lab.sh('cat /proc/asound/Dummy/pcm0p/info')),
  );
  await lab.until('its descriptor to be closed', async () =>
    /^0$/.test(await lab.sh("find /proc/[0-9]*/fd -lname '/dev/snd/pcm*' 2>/dev/null | wc -l")),
  );
  await lab.sh(`sed -i '/a card without a bus/d' ${policyDirectory}/*.yaml`);
  await reload(lab);
  await lab.until('the reason', async () =>
    /cannot leave yet \(somebody has pcmC\d+D0p mapped; .* is on no USB device/.test((await problem()) ?? ''),
  );
  await inside('left', 'systemctl stop mapped');
  await lab.until('it to have left', async () => (await problem()) === undefined);
  await lab.sh('modprobe -r snd-dummy');
});

test.after(() => lab.stop());
test.run();
