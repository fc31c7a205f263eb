// One seat takes all that it can get; at the other one a typed line still arrives.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Process } from '../driver/channel.js';
import type { Seat } from '../driver/lab.js';
import { guestFiles } from '../driver/paths.js';
import { ask } from '../driver/service.js';
import { test } from '../driver/test.js';
import type { Suite } from './engine-suite.js';

/**
 * The amounts in the hog's seat file. The PC has 3 GB. Memory that is taken from the hog goes to a small swap file, MB.
 */
const asked = { cpu: 50, memory: 300, pids: 300 } as const;
const swap = 400;
/** Pages of 2 MB that nobody can have while the hog has no limit: the rest is soon used up. */
const setAside = 1100;
const keepsUsed = '/sys/kernel/mm/lru_gen/min_ttl_ms';
/**
 * How eagerly the kernel makes room for pages of 2 MB. Those that are set aside make it do so, and it keeps pages of all programs
 * from them meanwhile, while it waits for a lock that the hog holds.
 */
const compacts = '/proc/sys/vm/compaction_proactiveness';
/** A typed line beside a hog takes at most so many times as long as beside an idle neighbour: wanted, and asserted. */
const ratios = { wanted: 3, asserted: 30 } as const;
/** A line that comes so soon is no fault, however soon it comes beside an idle neighbour, ms. */
const soonEnough = 500;

/** How many lines are typed for one figure. */
const lines = 5;

/** Of typed lines, ms. */
interface Lateness {
  readonly middle: number;
  readonly all: readonly number[];
}

/** The setter and the group of the shares, as `status` says. */
export interface SharedBy {
  readonly group: string;
  readonly means: string;
  /** The engine's own bound on processes, which stays when no seat file says another. */
  readonly bound?: string;
}

/** The left seat is the neighbour, the right one the hog. `by`: where the hog's shares are expected. */
export const fairShares =
  (by: SharedBy) =>
  ({ lab, engine, variant, first }: Suite): void => {
    const { title } = variant;
    const directory = `/sys/fs/cgroup/${by.group}`;
    let typist: Process;
    let idle = 0;

    const rule = (resources?: string): Promise<void> =>
      engine.rule(false, resources === undefined ? {} : { right: resources });

    const putProbe = async (seat: Seat, name: string): Promise<string> => {
      const stdin = await readFile(join(guestFiles, 'probes', name));
      await lab.guest(engine.argv(seat, 'sh', '-c', `cat > /tmp/${name}`), { stdin });
      return `/tmp/${name}`;
    };

    /**
     * Gives a seat its own copies of what its shell and its python map, as containers with a root directory of their own have them. The
     * lab's have one image, so that the kernel has one lock for the mappings of each file in it (i_mmap_rwsem): a hog that
     * forks holds it while it waits for a processor, and then a program of the neighbour starts up to 13 s late.
     */
    const hasOwnFiles = async (seat: Seat): Promise<void> => {
      const shown = `cat /proc/$$/maps; python3 -c 'print(open("/proc/self/maps").read())'`;
      const { stdout } = await lab.guest(engine.argv(seat, 'sh', '-ec', shown));
      const files = [...new Set(stdout.match(/\/\S+$/gm))];
      assert.ok(files.some((file) => file.includes('/libc.so')) && files.some((file) => file.endsWith('/dash')));
      const copy = 'mkdir /own; cp --parents --preserve=mode "$@" /own';
      await lab.guest(engine.argv(seat, 'sh', '-ec', copy, 'sh', ...files));
      const show = 'for file; do mount --bind "/own$file" "$file"; done';
      await lab.guest(['nsenter', '-t', engine.init(seat), '-m', 'sh', '-ec', show, 'sh', ...files]);
    };

    const untilAmounts = (wanted: Readonly<Record<string, string>>): Promise<void> => {
      const files = Object.keys(wanted);
      return lab.until(`${JSON.stringify(wanted)} in ${by.group}`, async () => {
        const now = (await lab.sh(`cd ${directory} && cat ${files.join(' ')}`)).split('\n');
        return files.every((file, at) => now[at] === wanted[file]);
      });
    };

    /** A number of a flat keyed file of the hog's group. */
    const count = async (file: string, key: string): Promise<number> =>
      Number(await lab.sh(`awk '$1 == "${key}" { print $2 }' ${directory}/${file}`));

    /** Everybody who must outlive a hog, with start times: the neighbour's processes, all services, engines' monitors, and its init. */
    const others = async (): Promise<string[]> => {
      const groups = `${directory.replaceAll('right', 'left')} /sys/fs/cgroup/lxc.monitor.*`;
      const shown = await lab.sh(`
        units=$(systemctl list-units --type=service --state=running --plain --no-legend | cut -d ' ' -f 1)
        pids=$(systemctl show --property=MainPID --value $units | tr -s '\\n' ' ')
        pids="$pids $(find ${groups} -name cgroup.procs -exec cat {} + 2>/dev/null | tr '\\n' ' ') ${engine.init('right')}"
        ps -o pid=,lstart=,comm= -p "$(echo $pids | tr ' ' ',')"`);
      return shown.split('\n').map((line) => line.trim());
    };

    /** How late typed lines were, ms: the middle one. */
    const lateness = async (): Promise<Lateness> => {
      const late = () => [...typist.stdout.matchAll(/^line \d+ (\S+)$/gm)].map(([, ms]) => Number(ms));
      const before = late().length;
      for (let line = 1; line <= lines; line++) {
        await lab.type('left', 'typed\n');
        await lab.until('the line to arrive', async () => late().length >= before + line, 90_000);
      }
      const sorted = late()
        .slice(before)
        .sort((a, b) => a - b);
      return { middle: sorted[(lines - 1) / 2] ?? Number.NaN, all: sorted };
    };

    const beside = async (what: string): Promise<void> => {
      const { middle: late, all } = await lateness();
      const ratio = late / idle;
      const allowed = `wanted ${ratios.wanted}, at most ${ratios.asserted}, or ${soonEnough} ms`;
      console.log(
        `${title}: a typed line beside ${what}: ${late} ms of ${all}, ratio ${ratio.toFixed(1)} (${allowed})`,
      );
      assert.ok(ratio <= ratios.asserted || late <= soonEnough, `${late} ms instead of ${idle}`);
    };

    /** Has the hog at work meanwhile, in a group of its own below its container's. */
    const whileHogging = async (action: () => Promise<void>): Promise<void> => {
      const own = `/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/${engine.init('right')}/cgroup)/hog`;
      const argv = engine.argv('right', 'unshare', '--pid', '--fork', '--kill-child', 'python3', '/tmp/hog.py');
      const hog = lab.start(['env', 'BELOW=hog', ...argv]);
      try {
        await lab.until('the hog', async () => hog.stdout.includes('at work'));
        await action();
      } finally {
        // The kernel ends them by itself: to look for them by their command lines waits for each that waits for memory.
        await lab.sh(`echo 1 > ${own}/cgroup.kill`);
        await hog.done.catch(() => undefined);
        await lab.until('all of it to have ended', async () => (await lab.sh(`rmdir ${own} || echo still`)) === '');
      }
    };

    test(`${title}: what a seat file asks for is set, and its weight is held against the other seat's`, async () => {
      await rule(`{ cpu: ${asked.cpu}, memory: ${asked.memory}M, pids: ${asked.pids} }`);
      const memory = String(asked.memory * 2 ** 20);
      await untilAmounts({ 'cpu.weight': String(asked.cpu), 'memory.high': memory, 'pids.max': String(asked.pids) });
      const { shares } = (await engine.seat('right')) ?? {};
      assert.is(shares?.group, by.group);
      assert.is(shares?.means, by.means);
      assert.is(shares?.problem, undefined);
      const explained = JSON.stringify(await ask(lab, { verb: 'explain-shares', seat: 'left' }));
      assert.match(explained, new RegExp(`beside right: cpu 100 to ${asked.cpu}`));
    });

    test(`${title}: with memory: in its file the hog is reclaimed from, and the neighbour's line arrives`, async () => {
      const node = first.get('input') ?? '';
      typist = lab.start(engine.argv('left', 'python3', await putProbe('left', 'typist.py'), node));
      await putProbe('right', 'hog.py');
      await hasOwnFiles('right');
      const ended = typist.done.then(({ stdout, stderr }) => {
        throw new Error(`the typist ended: ${stdout}${stderr}`);
      });
      ended.catch(() => undefined);
      await Promise.race([lab.until('the typist', async () => typist.stdout.includes('reading')), ended]);
      idle = (await lateness()).middle;
      console.log(`${title}: a typed line beside an idle neighbour: ${idle} ms`);
      await lab.sh(`fallocate -l ${swap}M /swap && chmod 600 /swap && mkswap -q /swap && swapon /swap`);
      await whileHogging(async () => {
        await lab.until('the hog to be reclaimed from', async () =>
          /^[1-9]/.test(await lab.sh(`cat ${directory}/memory.swap.current`)),
        );
        assert.ok((await count('pids.events', 'max')) > 0, 'it wanted no more processes');
        await beside('one that takes all it can get');
        assert.ok((await count('memory.events', 'high')) > 0);
        assert.is(await count('memory.events', 'oom_kill'), 0);
        const { shares } = (await engine.seat('right')) ?? {};
        console.log(`${title}: ${JSON.stringify({ ...shares?.pressure, processes: shares?.processes })}`);
        assert.ok((shares?.pressure.cpu?.someSeconds ?? 0) > 1, 'nothing in it waited for a processor');
      });
      await lab.sh('swapoff /swap && rm /swap', { timeoutMs: 60_000 });
    });

    test(`${title}: without memory: the hog alone is killed, all others are still there, and the line arrives`, async () => {
      await rule(`{ cpu: ${asked.cpu}, pids: ${asked.pids} }`);
      await untilAmounts({ 'memory.high': 'max' });
      if (variant.engine === 'incus') {
        // Root of a user namespace; the others' root may say what it likes.
        assert.is(
          await engine.inside('right', 'echo 0 > /proc/self/oom_score_adj'),
          undefined,
          'it can hide behind others',
        );
      }
      // As docs/howto/share-processors.md advises: without it the whole PC waits for its disk, for minutes.
      await lab.sh(`echo 1000 > ${keepsUsed}; echo 0 > ${compacts}; echo ${setAside} > /proc/sys/vm/nr_hugepages`, {
        timeoutMs: 60_000,
      });
      const onPc = async (): Promise<number> =>
        Number(await lab.sh(`awk '$1 == "oom_kill" { print $2 }' /proc/vmstat`));
      const before = { pc: await onPc(), hog: await count('memory.events', 'oom_kill'), others: await others() };
      await whileHogging(async () => {
        const isKilled = async () => (await count('memory.events', 'oom_kill')) > before.hog;
        const isFirst = async () => (await engine.seat('right'))?.shares?.endsFirst === true;
        await Promise.all([
          lab.until('one of the hog to be killed', isKilled, 120_000),
          lab.until('status to say that it ends first', isFirst, 120_000),
        ]);
        await beside('one of which programs are killed');
      });
      const killed = { pc: (await onPc()) - before.pc, hog: (await count('memory.events', 'oom_kill')) - before.hog };
      console.log(`${title}: ${killed.hog} processes of the hog were killed`);
      assert.is(killed.pc, killed.hog, 'somebody else was killed');
      const now = await others();
      assert.equal(
        before.others.filter((one) => !now.includes(one)),
        [],
        'somebody else has ended',
      );
      await lab.sh(`echo 0 > /proc/sys/vm/nr_hugepages; echo 20 > ${compacts}; echo 0 > ${keepsUsed}`);
      await typist.kill();
    });

    test(`${title}: what nobody asks for any more is as it was, but for the bound that every seat has`, async () => {
      await rule();
      const most = await lab.sh('cat /proc/sys/kernel/threads-max /proc/sys/kernel/pid_max | sort -n | head -1');
      const pids = by.bound ?? String(Math.floor(Number(most) * 0.15));
      await untilAmounts({ 'cpu.weight': '100', 'memory.high': 'max', 'pids.max': pids });
    });
  };
