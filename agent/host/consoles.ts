import { closeSync, existsSync, type FSWatcher, readdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { watchClosings } from '../kernel/closings.js';
import { isSysError } from '../kernel/errors.js';
import { getKeyboardMode, keyboardMode, openConsole, setKeyboardMode } from '../kernel/vt.js';
import { runtime } from '../seat/layout.js';
import { Remembered } from './remembered.js';

const modes = new Remembered(join(runtime, 'consoles.json'));
const sysrq = new Remembered(join(runtime, 'sysrq.json'));
const sysrqFile = '/proc/sys/kernel/sysrq';
/** The foreground console; kernfs tells inotify when it changes. */
const activeFile = '/sys/class/tty/tty0/active';
/** What no watch tells of is looked at this often, ms. */
const lookEvery = 30_000;
/** After a console could not be muted, ms. */
const lookAgain = 50;

/**
 * Keeps what is typed at a seat from the host's text consoles: the kernel hands every key of every keyboard to the
 * foreground console unless that one's keyboard mode is K_OFF (drivers/tty/vt/keyboard.c). A getty or a terminal reset
 * opens the console, sets the mode anew and closes it, which inotify tells. Each console is kept open here, so that
 * looking at it is no such closing. SysRq is answered in the kernel whatever the mode: it is switched off as well.
 */
export class Consoles {
  private watchers: FSWatcher[] = [];
  private timer: NodeJS.Timeout | undefined;
  private readonly held = new Map<number, { fd: number; watcher: FSWatcher }>();
  private wanted: 'mute' | 'open' | undefined;

  constructor(private readonly deps: { readonly log: Logger }) {}

  mute(): void {
    this.wanted = 'mute';
    this.look();
    if (this.timer !== undefined) return;
    this.timer = setInterval(() => this.look(), lookEvery).unref();
    // Allocated consoles come and go in /dev as vcsN.
    const dev = watch('/dev', { persistent: false }, (_event, name) => {
      if (name?.startsWith('vcs') === true) this.look();
    });
    this.watchers = [dev];
    // A kernel without virtual terminals has no such file, and no console to mute.
    if (existsSync(activeFile)) this.watchers.push(watch(activeFile, { persistent: false }, () => this.look()));
  }

  /** Leaves the consoles open although there are seats: the admin's own choice, reported as a leak. */
  open(seats: boolean): void {
    this.wanted = seats ? 'open' : undefined;
    this.close();
    restoreConsoles(this.deps.log);
  }

  /** In words, how keys may reach the host. */
  leaks(): string[] {
    return this.wanted === 'open'
      ? ["the host's consoles are open (host.yaml, console: open): what is typed at any seat also reaches them"]
      : [];
  }

  /** Stops watching; the consoles stay as they are. */
  close(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    for (const watcher of this.watchers) watcher.close();
    this.watchers = [];
    for (const number of [...this.held.keys()]) this.release(number);
  }

  private look(): void {
    try {
      const numbers = allocated();
      for (const number of this.held.keys()) if (!numbers.includes(number)) this.release(number);
      const muted = numbers.filter((number) => this.tryMute(number));
      if (muted.length > 0) this.deps.log.info({ consoles: muted.map((number) => `tty${number}`) }, 'consoles muted');
    } catch (error) {
      this.deps.log.error({ err: error }, 'consoles could not be looked at');
    }
    // A kernel built without SysRq answers none.
    if (!existsSync(sysrqFile)) return;
    try {
      const value = Number(readFileSync(sysrqFile, 'utf8'));
      if (value !== 0) {
        sysrq.keep('sysrq', value);
        writeFileSync(sysrqFile, '0');
      }
    } catch (error) {
      this.deps.log.error({ err: error }, 'SysRq could not be switched off');
    }
  }

  /** One console that cannot be muted keeps no other from it, and is tried again: a hang-up takes a moment. */
  private tryMute(number: number): boolean {
    try {
      return this.muteOne(number);
    } catch (error) {
      setTimeout(() => this.timer !== undefined && this.look(), lookAgain).unref();
      const facts = { console: `tty${number}`, err: error };
      if (isSysError(error, 'EIO')) this.deps.log.debug(facts, 'console is being hung up');
      else this.deps.log.error(facts, 'console could not be muted');
      return false;
    }
  }

  /** Mutes a console; returns whether it listened until now. */
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
    const known = this.held.get(number);
    if (known !== undefined) return known.fd;
    const fd = openConsole(number);
    try {
      const watcher = watch(`/dev/tty${number}`, { persistent: false }, () => this.look());
      this.held.set(number, { fd, watcher });
    } catch (error) {
      // No inotify watch is left: the slow timer looks again, and must not find one descriptor more each time.
      closeSync(fd);
      throw error;
    }
    watchClosings(`/dev/tty${number}`);
    return fd;
  }

  private release(number: number): void {
    const held = this.held.get(number);
    if (held === undefined) return;
    this.held.delete(number);
    held.watcher.close();
    closeSync(held.fd);
  }
}

/** Gives every console the keyboard mode back that it had, and SysRq its setting. Does nothing when nothing was changed. */
export function restoreConsoles(log?: Logger): void {
  const known = modes.read();
  for (const [name, mode] of Object.entries(known)) {
    try {
      const fd = openConsole(Number(name));
      try {
        setKeyboardMode(fd, mode);
      } finally {
        closeSync(fd);
      }
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

/** Numbers of the allocated consoles: the kernel makes a vcsN for each (drivers/tty/vt/vc_screen.c). */
const allocated = (): number[] =>
  readdirSync('/dev').flatMap((name) => {
    const number = /^vcs(\d+)$/.exec(name)?.[1];
    return number === undefined ? [] : [Number(number)];
  });

function mute(number: number, fd: number): boolean {
  const mode = getKeyboardMode(fd);
  if (mode === keyboardMode.off) return false;
  modes.keep(String(number), mode);
  setKeyboardMode(fd, keyboardMode.off);
  return true;
}
