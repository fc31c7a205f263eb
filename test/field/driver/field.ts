// The real udevd and the agent's own rooms, run on a PC out of the field.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import * as assert from 'uvu/assert';
import { Hidraws } from '../../../agent/assign/hidraws.js';
import { leftBehind } from '../../../agent/core/along.js';
import { decideAll, decider, hostSeat } from '../../../agent/core/decide.js';
import { desiredSeat, type Grantee } from '../../../agent/core/desired.js';
import type { Unit } from '../../../agent/core/device.js';
import { rawPolicy } from '../../../agent/core/hid.js';
import type { Loan, Policy } from '../../../agent/core/policy.js';
import type { DesiredSeat } from '../../../agent/core/state.js';
import type { Verdict } from '../../../agent/core/verdict.js';
import { HostRules } from '../../../agent/host/host-rules.js';
import { formatDiagnostic } from '../../../agent/policy/diagnostics.js';
import { loadDirectory } from '../../../agent/policy/load.js';
import { compileRules } from '../../../agent/policy/udev-rules.js';
import { presentation } from '../../../agent/udev/record.js';
import { DeviceTable } from '../../../agent/udev/table.js';
import { unshared } from '../../namespace/unshared.js';
import { Pc } from './pc.js';

export { usbPort } from './pc.js';

import { emptyMachine } from './sysfs.js';

const log = pino({ level: 'silent' });

/** The rules of each seat as they stand in its file, below `devices:`. */
export type Seats = Readonly<Record<string, string>>;

/** A PC with nothing plugged into it; the calling file runs in namespaces of its own from here on. */
export function field(file: string): Pc {
  unshared(file);
  emptyMachine();
  return new Pc();
}

/** The seat files as a user would write them, or the messages about them, a line each. */
export function load(seats: Seats): Policy | readonly string[] {
  const directory = mkdtempSync(join(tmpdir(), 'hotseat-field-'));
  try {
    for (const [seat, rules] of Object.entries(seats)) {
      const head = `seat: ${seat}\ncontainer: { engine: lxc, name: ${seat} }\ndevices:\n`;
      writeFileSync(join(directory, `${seat}.yaml`), `${head}${rules}\n`);
    }
    const loaded = loadDirectory(directory, 'pc');
    return loaded.ok ? loaded.policy : loaded.diagnostics.map(formatDiagnostic);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The messages about refused seat files. */
export function faults(seats: Seats): readonly string[] {
  const loaded = load(seats);
  return 'seats' in loaded ? [] : loaded;
}

/**
 * Puts a policy in force and plugs everything in. `more`: udev rules of the admin's own, by file name. Fails when udev
 * and the agent do not agree about a head or a node, except those that `unlike` names. `loans`: what was attached by
 * hand.
 */
export function plug(pc: Pc, seats: Seats, { more = {}, unlike = [], loans = [] }: Options = {}): Seen {
  const loaded = load(seats);
  if (!('seats' in loaded)) throw new Error(loaded.join('\n'));
  const policy = { ...loaded, loans };
  const rules = { ...more, '72-zz-hotseat.rules': compileRules(policy) };
  rmSync('/run/udev/rules.d', { recursive: true, force: true });
  mkdirSync('/run/udev/rules.d');
  for (const [name, text] of Object.entries(rules)) writeFileSync(join('/run/udev/rules.d', name), text);
  pc.sysfs.coldplug();
  // udev is told of devices that it cannot judge by itself, until there is nothing to tell.
  const host = new HostRules(log);
  for (let rounds = 0; rounds < 5; rounds++) {
    const seen = new Seen(policy);
    const tell = (): void => {
      for (const unit of seen.units) host.tell(unit, seen.verdict(unit.head.sysname));
      for (const { unit, verdict } of seen.hidraws.onHost()) host.tell(unit, verdict);
    };
    if (pc.sysfs.synthesize(tell)) continue;
    seen.agree(unlike);
    return seen;
  }
  throw new Error('udev is told the same again and again');
}

interface Options {
  readonly more?: Readonly<Record<string, string>>;
  readonly unlike?: readonly string[];
  readonly loans?: readonly Loan[];
}

/** The owners of devices. Devices go by the kernel's name of their unit's head: `input3`, `card1`. */
export class Seen {
  readonly table = new DeviceTable();
  readonly verdicts: ReadonlyMap<string, Verdict>;
  readonly hidraws: Hidraws;

  constructor(readonly policy: Policy) {
    this.table.take({ kind: 'resync', reason: 'start' });
    this.verdicts = decideAll(decider(policy), this.table.units());
    const deps = { log, table: this.table, kernel: release(), isGuarded: () => true };
    const decide = decider(rawPolicy(policy));
    this.hidraws = new Hidraws(
      deps,
      (unit) => this.verdicts.get(unit),
      (raw) => decide(raw, this.table.partsOf(raw.id)),
    );
    this.hidraws.placeAll();
  }

  get units(): readonly Unit[] {
    return this.table.units();
  }

  unit(name: string): Unit {
    const unit = this.units.find(({ head }) => head.sysname === name);
    if (unit === undefined)
      throw new Error(`no ${name}: there are ${this.units.map(({ head }) => head.sysname).join(' ')}`);
    return unit;
  }

  verdict(name: string): Verdict {
    const verdict = this.verdicts.get(this.unit(name).id);
    if (verdict === undefined) throw new Error(`nothing is said of ${name}`);
    return verdict;
  }

  /** `left`, `left right`, `host` or `conflict`. */
  owner(name: string): string {
    const verdict = this.verdict(name);
    return verdict.kind === 'seat' ? verdict.claims.map(({ seat }) => seat).join(' ') : verdict.kind;
  }

  owners(...names: readonly string[]): Record<string, string> {
    return Object.fromEntries(names.map((name) => [name, this.owner(name)]));
  }

  /** The devices of a seat, as its worker is told. */
  desired(seat: string): DesiredSeat {
    const grantees = this.units.flatMap((unit): Grantee[] => {
      const verdict = this.verdicts.get(unit.id);
      const claim = verdict?.kind === 'seat' ? verdict.claims.find((one) => one.seat === seat) : undefined;
      return claim === undefined ? [] : [{ unit, claim }];
    });
    return desiredSeat(grantees, { user: () => 0, group: () => 0 }, presentation);
  }

  /** Raw nodes that a seat gets, by their names. */
  raws(seat: string): string[] {
    return this.hidraws.of(seat).map(({ unit }) => unit.head.sysname);
  }

  /** Where a raw node is in sysfs. */
  rawId(name: string): string {
    return [...this.table.raws()].find((raw) => raw.endsWith(`/${name}`)) ?? '';
  }

  /** Parts that stay with the host although a seat has other parts of the same physical device. */
  left(): string[] {
    return leftBehind(this.units, ({ id }) => this.verdicts.get(id)).map(({ unit }) => unit.head.sysname);
  }

  /** That udevd's last word on every head and every node is the agent's. */
  agree(unlike: readonly string[]): void {
    for (const unit of this.units) {
      const verdict = this.verdicts.get(unit.id);
      if (verdict === undefined || unlike.includes(unit.head.sysname)) continue;
      for (const { sysname, properties } of [unit.head, ...unit.nodes]) {
        assert.is(properties['HOTSEAT_SEAT'], hostSeat(verdict), `udev on ${sysname}`);
      }
    }
  }
}
