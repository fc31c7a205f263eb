import { type FSWatcher, readdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { getKeyboardMode, keyboardMode, setKeyboardMode, withConsole } from '../kernel/vt.js';
import { runtime } from '../seat/layout.js';
import { Remembered } from './remembered.js';

const modes = new Remembered(join(runtime, 'consoles.json'));
const sysrq = new Remembered(join(runtime, 'sysrq.json'));
const sysrqFile = '/proc/sys/kernel/sysrq';
/** What no watch tells of is looked at this often, ms. */
const lookEvery = 30_000;

/**
 * Keeps what is typed at a seat from the host's text consoles: the kernel hands every key of every keyboard to the
 * foreground console unless that one's keyboard mode is K_OFF (drivers/tty/vt/keyboard.c). A getty or a terminal reset
 * sets the mode anew; agetty also changes owner and mode of the terminal and writes to it, which inotify tells.
 * SysRq is answered in the kernel whatever the mode, so it is switched off as well.
 */
export class Consoles {
  private watchers: FSWatcher[] = [];
  private timer: NodeJS.Timeout | undefined;
  private wanted: 'mute' | 'open' | undefined;

  constructor(private readonly deps: { readonly log: Logger }) {}

  mute(): void {
    this.wanted = 'mute';
    this.look();
    if (this.timer !== undefined) return;
    this.timer = setInterval(() => this.look(), lookEvery).unref();
    // Allocated consoles come and go in /dev as vcsN; what is written to or done with a terminal stirs its own node.
    const looked = (_event: string, name: string | null) => {
      if (name !== null && /^(tty\d+|vcs\d+)$/.test(name)) this.look();
    };
    this.watchers = [
      watch('/dev', { persistent: false }, looked),
      watch('/sys/class/tty/tty0/active', { persistent: false }, () => this.look()),
    ];
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
      ? ['the host\'s consoles are open (host.yaml, console: open): what is typed at any seat also reaches them']
      : [];
  }

  /** Stops watching; the consoles stay as they are. */
  close(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    for (const watcher of this.watchers) watcher.close();
    this.watchers = [];
  }

  private look(): void {
    try {
      const muted = allocated().filter(muteOne);
      if (muted.length > 0) this.deps.log.info({ consoles: muted.map((number) => `tty${number}`) }, 'consoles muted');
      const value = Number(readFileSync(sysrqFile, 'utf8'));
      if (value !== 0) {
        sysrq.keep('sysrq', value);
        writeFileSync(sysrqFile, '0');
      }
    } catch (error) {
      this.deps.log.error({ err: error }, 'consoles could not be muted');
    }
  }
}

/** Gives every console the keyboard mode back that it had, and SysRq its setting. Does nothing when nothing was changed. */
export function restoreConsoles(log?: Logger): void {
  const known = modes.read();
  for (const [name, mode] of Object.entries(known)) {
    try {
      withConsole(Number(name), (fd) => setKeyboardMode(fd, mode));
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

/** Mutes a console; returns whether it listened until now. */
const muteOne = (number: number): boolean =>
  withConsole(number, (fd) => {
    const mode = getKeyboardMode(fd);
    if (mode === keyboardMode.off) return false;
    modes.keep(String(number), mode);
    setKeyboardMode(fd, keyboardMode.off);
    return true;
  });
