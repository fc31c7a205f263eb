import { closeSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { CalmWatch } from '../kernel/calm-watch.js';
import { watchClosings } from '../kernel/closings.js';
import { isSysError } from '../kernel/errors.js';
import { getKeyboardMode, keyboardMode, openConsole, setKeyboardMode } from '../kernel/vt.js';
import { runtime } from '../seat/layout.js';
import { Remembered } from './remembered.js';

/** The state before the muting: the modes of the consoles, and SysRq's setting. */
interface Before {
  readonly modes: Remembered;
  readonly sysrq: Remembered;
}
const beforeAgent: Before = {
  modes: new Remembered(join(runtime, 'consoles.json')),
  sysrq: new Remembered(join(runtime, 'sysrq.json')),
};
/** Muted by a boot (rules/boot-consoles): an agent that comes takes it over; until then it is not the agent's to give back. */
const beforeBoot: Before = {
  modes: new Remembered(join(runtime, 'consoles-at-boot.json')),
  sysrq: new Remembered(join(runtime, 'sysrq-at-boot.json')),
};
const sysrqFile = '/proc/sys/kernel/sysrq';
/** The foreground console; kernfs tells inotify when it changes. */
const activeFile = '/sys/class/tty/tty0/active';
/** How often to look for changes that no watch tells of, ms. */
const lookEvery = 30_000;
/** Looks because of an event come no sooner one after the other, ms. */
const lookEach = 50;
/** After a console could not be muted, ms: first, and the longest. */
const lookAgain = { first: 50, longest: lookEvery };

/**
 * Keeps the keys of a seat from the host's text consoles: the kernel hands every key of every keyboard to the
 * foreground console unless that one's keyboard mode is K_OFF (drivers/tty/vt/keyboard.c). A getty or a terminal reset
 * opens the console, sets the mode again and closes it, which inotify tells. Each console is kept open here, so that
 * looking at it is no such closing. The kernel answers SysRq in every mode: it is switched off as well.
 */
export class Consoles {
  /** By the watched path. */
  private readonly watchers = new Map<string, CalmWatch>();
  private lookedAt = Number.NEGATIVE_INFINITY;
  private soon: NodeJS.Timeout | undefined;
  /** Why something is not watched: the last look found no room for it in inotify, say. */
  private blind: string | undefined;
  private timer: NodeJS.Timeout | undefined;
  private again: NodeJS.Timeout | undefined;
  /** Consoles that could not be muted: why, and how long to wait before the next try, ms. */
  private readonly failing = new Map<number, { readonly reason: string; readonly wait: number }>();
  /** Open descriptors by console. */
  private readonly held = new Map<number, number>();
  private wanted: 'mute' | 'open' | undefined;

  constructor(private readonly deps: { readonly log: Logger }) {}

  mute(): void {
    this.wanted = 'mute';
    takeOver();
    this.timer ??= setInterval(() => this.look(), lookEvery).unref();
    this.look();
  }

  /** Leaves the consoles open although there are seats: the admin's own choice, reported as a leak. */
  open(seats: boolean): void {
    this.wanted = seats ? 'open' : undefined;
    this.close();
    restoreConsoles(this.deps.log);
  }

  /** In words, how keys may reach the host. */
  leaks(): string[] {
    if (this.wanted === 'open') {
      return ["the host's consoles are open (host.yaml, console: open): keys of every seat also reach them"];
    }
    if (this.wanted !== 'mute') return [];
    // A hang-up is over by then.
    const open = [...this.failing].filter(([, { wait }]) => wait > 1000);
    const leaks = open.map(([number, { reason }]) => `tty${number} could not be muted: ${reason}`);
    if (this.blind === undefined) return leaks;
    const forHow = `${lookEvery / 1000} s`;
    return [
      ...leaks,
      `the host's consoles are muted, but not watched (${this.blind}): a getty opens one for up to ${forHow}`,
    ];
  }

  /** Stops watching; the consoles stay as they are. */
  close(): void {
    clearInterval(this.timer);
    clearTimeout(this.again);
    this.timer = undefined;
    this.blind = undefined;
    this.failing.clear();
    clearTimeout(this.soon);
    this.soon = undefined;
    for (const path of [...this.watchers.keys()]) this.unwatch(path);
    for (const number of [...this.held.keys()]) this.release(number);
  }

  private look(): void {
    clearTimeout(this.soon);
    this.soon = undefined;
    this.lookedAt = performance.now();
    const before = this.blind;
    this.blind = undefined;
    try {
      // Allocated consoles come and go in /dev as vcsN.
      this.watch('/dev', (name) => name?.startsWith('vcs') === true);
      // A kernel without virtual terminals has no such file, and no console to mute.
      if (existsSync(activeFile)) this.watch(activeFile);
      const numbers = allocated();
      for (const number of this.held.keys()) if (!numbers.includes(number)) this.release(number);
      for (const number of this.failing.keys()) if (!numbers.includes(number)) this.failing.delete(number);
      const muted = numbers.filter((number) => this.tryMute(number));
      if (muted.length > 0) this.deps.log.info({ consoles: muted.map((number) => `tty${number}`) }, 'consoles muted');
    } catch (error) {
      this.deps.log.error({ err: error }, 'the consoles could not be read');
    }
    if (this.blind !== undefined && this.blind !== before) {
      this.deps.log.error({ reason: this.blind }, 'the consoles cannot be watched');
    }
    this.planAnother();
    // While nothing is heard of one of them, a look at short intervals takes the place of that.
    if ([...this.watchers.values()].some(({ isResting }) => isResting)) this.lookSoon();
    silenceSysrq(this.deps.log);
  }

  /** A hang-up takes a moment. A longer state is not asked for all the time. */
  private planAnother(): void {
    clearTimeout(this.again);
    if (this.failing.size === 0) return;
    const wait = Math.min(...[...this.failing.values()].map((one) => one.wait));
    this.again = setTimeout(() => {
      for (const [number, one] of this.failing) {
        this.failing.set(number, { ...one, wait: Math.min(one.wait * 2, lookAgain.longest) });
      }
      this.look();
    }, wait).unref();
  }

  /** One console that cannot be muted keeps no other from it. Returns whether it listened until now. */
  private tryMute(number: number): boolean {
    try {
      const listened = this.muteOne(number);
      this.failing.delete(number);
      return listened;
    } catch (error) {
      const { wait } = this.failing.get(number) ?? { wait: lookAgain.first };
      this.failing.set(number, { reason: (error as Error).message, wait });
      const facts = { console: `tty${number}`, err: error };
      if (isSysError(error, 'EIO')) this.deps.log.debug(facts, 'console is being hung up');
      else this.deps.log.error(facts, 'console could not be muted');
      return false;
    }
  }

  private muteOne(number: number): boolean {
    try {
      return mute(number, this.hold(number));
    } catch (error) {
      // A hang-up (vhangup(2), as a getty does it) kills every open descriptor of the terminal.
      if (!isSysError(error, 'EIO', 'ENOTTY')) throw error;
      this.release(number);
      return mute(number, this.hold(number));
    }
  }

  private hold(number: number): number {
    const fd = this.held.get(number) ?? openConsole(number);
    this.held.set(number, fd);
    this.watch(terminal(number));
    return fd;
  }

  private release(number: number): void {
    const fd = this.held.get(number);
    if (fd === undefined) return;
    this.held.delete(number);
    this.unwatch(terminal(number));
    closeSync(fd);
  }

  /** Looks whenever something is changed there, or closed if it is a terminal. A muted console stays muted, watched or not. */
  private watch(path: string, concerns: (name: string | null) => boolean = () => true): void {
    if (this.watchers.has(path)) return;
    try {
      const heard = (name: string | null): void => {
        if (concerns(name)) this.lookSoon();
      };
      const rested = (): void => {
        this.unwatch(path);
        this.look();
      };
      this.watchers.set(path, new CalmWatch(path, { heard, rested }));
      if (path.startsWith('/dev/tty')) watchClosings(path);
    } catch (error) {
      this.unwatch(path);
      this.blind = (error as Error).message;
    }
  }

  /** A look takes some system calls for each console, and a user who is logged in at one can write to it without end. */
  private lookSoon(): void {
    if (this.soon !== undefined) return;
    const wait = this.lookedAt + lookEach - performance.now();
    if (wait <= 0) this.look();
    else this.soon = setTimeout(() => this.look(), wait).unref();
  }

  private unwatch(path: string): void {
    this.watchers.get(path)?.close();
    this.watchers.delete(path);
  }
}

const terminal = (number: number): string => `/dev/tty${number}`;

function silenceSysrq(log: Logger): void {
  // A kernel built without SysRq answers none.
  if (!existsSync(sysrqFile)) return;
  try {
    const value = Number(readFileSync(sysrqFile, 'utf8'));
    if (value === 0) return;
    beforeAgent.sysrq.keep('sysrq', value);
    writeFileSync(sysrqFile, '0');
  } catch (error) {
    log.error({ err: error }, 'SysRq could not be switched off');
  }
}

/** The muting of a boot is the agent's from now on. */
function takeOver(): void {
  for (const what of ['modes', 'sysrq'] as const) {
    for (const [name, value] of Object.entries(beforeBoot[what].read())) beforeAgent[what].keep(name, value);
    beforeBoot[what].forget();
  }
}

/**
 * Gives every console the keyboard mode back that it had, and SysRq its setting. Does nothing when nothing was changed.
 * `agentsOnly`: consoles that a boot has muted, and no agent has taken over, stay muted.
 */
export function restoreConsoles(log?: Logger, { agentsOnly = false } = {}): void {
  if (!agentsOnly) takeOver();
  const { modes, sysrq } = beforeAgent;
  const known = modes.read();
  for (const [name, mode] of Object.entries(known)) {
    try {
      onConsole(Number(name), (fd) => setKeyboardMode(fd, mode));
    } catch (error) {
      log?.warn({ console: name, err: error }, 'console could not be restored');
    }
  }
  modes.forget();
  const { sysrq: before } = sysrq.read();
  if (before !== undefined) writeFileSync(sysrqFile, String(before));
  sysrq.forget();
  if (Object.keys(known).length > 0) log?.info('consoles restored');
}

function onConsole(number: number, act: (fd: number) => void): void {
  const fd = openConsole(number);
  try {
    act(fd);
  } finally {
    closeSync(fd);
  }
}

/** Numbers of the allocated consoles: the kernel makes a vcsN for each (drivers/tty/vt/vc_screen.c). */
const allocated = (): number[] =>
  readdirSync('/dev').flatMap((name) => {
    const number = /^vcs(\d+)$/.exec(name)?.[1];
    return number === undefined ? [] : [Number(number)];
  });

/** Returns whether it listened until now. */
function mute(number: number, fd: number): boolean {
  const mode = getKeyboardMode(fd);
  if (mode === keyboardMode.off) return false;
  beforeAgent.modes.keep(String(number), mode);
  setKeyboardMode(fd, keyboardMode.off);
  return true;
}
