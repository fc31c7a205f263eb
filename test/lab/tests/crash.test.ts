import * as assert from 'uvu/assert';
import { silentFuseProgram } from '../../namespace/silent-fuse.js';
import { seats } from '../driver/lab.js';
import { preparedLab } from '../driver/prepared.js';
import { agentLog, inputs, status, xorgLog } from '../driver/service.js';
import { test } from '../driver/test.js';

const lab = await preparedLab();

test('kill -9 of the agent while both seats type: no key is lost, and no Xorg notices', async () => {
  for (const seat of seats) {
    await lab.plug({ seat, driver: 'usb-kbd', id: `kbd-${seat}` });
    await inputs(lab, seat, 1);
  }
  const before = { left: await xorgLog(lab, 'left'), right: await xorgLog(lab, 'right') };
  const pid = (await status(lab)).pid;
  const text = (seat: string) => `the quick brown fox types at the ${seat} and loses no key\n`;
  const typing = Promise.all(seats.map((seat) => lab.type(seat, text(seat), 60)));
  await lab.sh('sleep 1; systemctl kill -s KILL hotseat');
  await typing;
  await lab.until('the agent to be back', async () => (await status(lab).catch(() => ({ pid }))).pid !== pid);
  for (const seat of seats) {
    await lab.until(`the sentence at ${seat}`, async () => (await lab.typed(seat)).length > 0);
    assert.equal(await lab.typed(seat), [text(seat).trim()]);
    assert.equal((await xorgLog(lab, seat)).slice(before[seat].length - 1), [''], `Xorg of ${seat} has new log lines`);
  }
});

test('a device plugged while the agent is down is bound after it is back', async () => {
  await lab.sh('systemctl stop hotseat', { timeoutMs: 60_000 });
  await lab.plug({ seat: 'left', driver: 'usb-mouse', id: 'late' });
  await lab.settled();
  await lab.sh('systemctl start hotseat', { timeoutMs: 60_000 });
  await inputs(lab, 'left', 2);
});

test('kill -9 of the udev child: a device plugged meanwhile is bound within a second', async () => {
  const child = await lab.sh('pgrep -f udev-child.js');
  const since = (await agentLog(lab)).length;
  await lab.sh(`kill -9 ${child}`);
  const started = Date.now();
  await lab.plug({ seat: 'right', driver: 'usb-mouse', id: 'meanwhile' });
  await lab.until(
    'the mouse to be bound',
    async () => (await agentLog(lab)).slice(since).some(({ msg, seat }) => msg === 'bound' && seat === 'right'),
    20_000,
  );
  const ms = Date.now() - started;
  console.log(`killed udev child to bound: ${ms} ms as seen from outside (emulated PC)`);
  assert.ok(ms < 10_000);
  assert.is.not(await lab.sh('pgrep -f udev-child.js'), child);
});

test('files of a container that are never answered for: nobody else waits, and the agent starts again in time', async () => {
  /** Root of a container covers files that the agent reads there. */
  const silence = async (seat: 'left' | 'right') => {
    await lab.inContainer(seat, ['mknod', '/dev/fuse', 'c', '10', '229']);
    const server = lab.start(['lxc-attach', '-n', seat, '--', 'python3', '-c', silentFuseProgram, '/etc']);
    await lab.until(`the file system of ${seat}`, async () => server.stdout.includes('up'));
    server.write('hush\n');
    return server;
  };
  // A helper without a question waits in ep_poll (proc_pid_wchan(5)).
  const hanging = async () =>
    Number(
      await lab.sh(
        'cd /proc; for p in $(pgrep -f helper.js); do cat $p/wchan; echo; done | grep -c "fuse\\|request_wait\\|d_alloc\\|rwsem" || true',
      ),
    );
  const servers = [await silence('right')];
  await lab.until('two helpers to hang', async () => (await hanging()) >= 2, 120_000);
  await lab.plug({ seat: 'left', driver: 'usb-mouse', id: 'nobody-waits' });
  await inputs(lab, 'left', 3);
  // A third one hangs since just now, of somebody else.
  servers.push(await silence('left'));
  await lab.until('three helpers to hang', async () => (await hanging()) >= 3, 120_000);
  const started = Date.now();
  await lab.sh('systemctl restart hotseat', { timeoutMs: 120_000 });
  console.log(`restarted in ${Date.now() - started} ms (emulated PC)`);
  // Most of that is the start of Node, which is slow in an emulated PC: what helpers could hold up is the stop.
  const stops = await lab.sh(
    "journalctl -u hotseat -b -o short-monotonic --no-pager _PID=1 | grep -E ' Stopp(ing|ed) '",
  );
  const [stopping, stopped] = [...stops.matchAll(/^\[\s*(\d+\.\d+)\]/gm)]
    .slice(-2)
    .map(([, seconds]) => Number(seconds));
  const stopMs = Math.round(((stopped ?? Number.POSITIVE_INFINITY) - (stopping ?? 0)) * 1000);
  console.log(`of that, it took ${stopMs} ms to stop`);
  assert.ok(stopMs < 10_000, `${stopMs} ms`);
  const said = await lab.sh('journalctl -u hotseat -b -o cat --no-pager _PID=1');
  assert.not.match(said, /timed out|remains running|still around/);
  for (const server of servers) await server.kill();
  await lab.inContainer('left', ['umount', '--lazy', '/etc']);
});

test('an agent that has failed for good gives the consoles back; its seats keep what they have', async () => {
  const mode = () => lab.sh('kbd_mode -C /dev/tty1; cat /proc/sys/kernel/sysrq');
  assert.not.match(await mode(), /unicode/i);
  await lab.sh(`mkdir -p /run/systemd/system/hotseat.service.d
    printf '[Service]\\nRestart=no\\n' > /run/systemd/system/hotseat.service.d/once.conf
    systemctl daemon-reload; systemctl kill -s KILL hotseat`);
  await lab.until(
    'the unit to have failed',
    async () => (await lab.sh('systemctl is-failed hotseat || true')) === 'failed',
  );
  // SysRq comes last.
  await lab.until('the consoles to be given back', async () => /unicode[\s\S]*\n[1-9]/i.test(await mode()));
  await lab.type('left', 'nobody is at home\n');
  await lab.until('the sentence', async () => (await lab.typed('left')).includes('nobody is at home'));
});

test.after(() => lab.stop());
test.run();
