import { createInterface } from 'node:readline/promises';
import { ask } from '../control/client.js';
import type { DeviceInfo } from '../control/messages.js';
import type { Unit } from '../core/device.js';
import type { By, Proposal } from '../identify/proposal.js';
import { formatDiagnostic } from '../policy/diagnostics.js';
import { controlSocket } from '../seat/layout.js';
import { print } from './answer.js';
import { describe } from './device-tree.js';
import { duration } from './duration.js';
import { endsBySignal } from './ends-by-signal.js';
import { render, showsColours } from './line.js';
import { printable } from './printable.js';
import { defaultPolicies } from './run.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** The device that was touched, and the rules for it. */
export interface Touched {
  /** The device that was touched. */
  readonly device: DeviceInfo;
  /** The seat file that `--write` would add a rule to. */
  readonly file: string;
  /** Rules that would give the device to the seat. */
  readonly proposals: readonly Proposal[];
}

/** Whether a word names an output, such as `card1-DP-1`: connectors have a capital in their names, and seats have none. */
const isOutput = (word: string): boolean => /[A-Z]/.test(word);

/** `hotseat identify`: exits 1 when nothing was touched in time. */
export const identify: Verb = {
  summary: 'find the device that somebody touches, and propose its rule; or show the name of an output on it',
  usage: 'identify SEAT|OUTPUT [--by port|serial] [--write] [--all] [--timeout TIME] [--policies DIRECTORY] [--json]',
  options: {
    by: { type: 'string', help: 'port: any device in this port (default); serial: this device in any port' },
    write: { type: 'boolean', help: "write the rule into the seat's file, commit it where that is in git, and reload" },
    all: { type: 'boolean', help: 'listen to the devices of other seats too; a key pressed there counts as yours' },
    timeout: { type: 'string', help: 'wait this long: 60s, 5m (60s); show the name of an output this long (10s)' },
    policies: { type: 'string', help: `directory with the seat files (${defaultPolicies})` },
    json: { type: 'boolean', help: 'print JSON, for scripts' },
  },
  examples: [
    { line: 'identify left', help: 'names the device, and the rule that would give it to left' },
    { line: 'identify left --write', help: 'the port at which it is plugged becomes part of left' },
    { line: 'identify card1-DP-1 --timeout 20s', help: 'shows this name on that output of a shared card' },
    { line: 'identify left --by serial --write', help: 'this very keyboard, wherever it is plugged' },
  ],
  run: async (call: Call): Promise<ExitCode> => {
    const { options } = call;
    const [seat] = call.words;
    if (seat === undefined) throw new Error('name the seat (hotseat seats lists them) or the output (hotseat devices)');
    if (isOutput(seat)) return identifyOutput(call, seat);
    const by = byOf(options['by']);
    const timeout = String(options['timeout'] ?? '60s');
    const directory = String(options['policies'] ?? defaultPolicies);
    if (process.getuid?.() !== 0) throw new Error('listening to devices needs root: run it as root');
    const [{ seatFileOf, writeRule }, { firstTouched }, { alike, proposalsOf }, { ruleText }] = await Promise.all([
      import('../identify/seat-file.js'),
      import('../identify/listen.js'),
      import('../identify/proposal.js'),
      import('../policy/append-rule.js'),
    ]);
    const seatFile = seatFileOf(directory, seat);
    const { file } = seatFile;

    const owners = ownersOf(await ask(controlSocket, { verb: 'devices' }, 10_000));
    const theirs = (node: string): boolean => !['host', 'conflict', seat, undefined].includes(owners.get(node));
    const stop = endsBySignal();
    const node = await firstTouched({
      wanted: (one) => options['all'] === true || !theirs(one),
      timeoutMs: duration('timeout', timeout),
      stop: stop.signal,
      begun: () =>
        console.error(`press a key, move the mouse or touch the device that you want at ${seat} (${timeout})`),
    });
    if (node === undefined) {
      console.error(`nothing was touched${options['all'] === true ? '' : '; devices of other seats need --all'}`);
      return 1;
    }

    const { unit, info } = await deviceAt(node);
    const units = await plugged();
    const proposals = proposalsOf(unit, units);
    const rules = proposals.map(({ by: way, label, match }) => ({ by: way, rule: ruleText({ label, match }) }));
    const touched: Touched = { device: info, file, proposals };
    if (options['json'] === true) console.log(JSON.stringify(touched, undefined, 2));
    else {
      console.log(render(describe(info), showsColours(process.stdout)));
      if (info.owner !== seat)
        for (const { by: way, rule } of rules) {
          console.log([`${reasons[way]}:`, ...rule.split('\n').map(printable)].join('\n'));
          for (const other of proposals.find((one) => one.by === way)?.also ?? [])
            console.log(printable(`  it brings along ${other}`));
        }
    }
    if (info.owner === seat) {
      if (options['json'] !== true) console.log(`it is at ${seat} already`);
      return 0;
    }
    const chosen = options['write'] === true ? (by ?? proposals[0]?.by) : await choice(call, proposals, file);
    if (chosen === undefined) return 0;
    const proposal = proposals.find((one) => one.by === chosen);
    if (proposal === undefined) {
      const same = alike(unit, units);
      const none =
        same.length > 0
          ? `says the same of itself as ${same.join(', ')}`
          : 'says no serial number or address of its own';
      const why = chosen === 'serial' ? none : 'is at no port';
      throw new Error(`the device ${why}: choose the other way with --by`);
    }
    const committed = await writeRule(seatFile, unit, proposal);
    console.log(`${file}: "${proposal.label}" is written${committed ? ' and committed' : ''}`);
    const { revision } = await ask(controlSocket, { verb: 'reload', force: false }, 60_000);
    console.log(`policy ${revision} is active`);
    return 0;
  },
};

/** Has the holder of shared cards show the name of an output on it. */
async function identifyOutput(call: Call, output: string): Promise<ExitCode> {
  const wrong = ['by', 'write', 'all', 'policies'].find((option) => call.options[option] !== undefined);
  if (wrong !== undefined) throw new Error(`--${wrong} is for devices that are touched, not for the output ${output}`);
  const forMs = duration('timeout', String(call.options['timeout'] ?? '10s'));
  const answer = await ask(controlSocket, { verb: 'identify', output, forMs }, 30_000);
  print(call, answer, ({ output: name, owner }) => [
    `${name} shows its name for ${forMs / 1000} s; it is ${whose(owner)}`,
  ]);
  return 0;
}

const whose = (owner: string): string => {
  if (owner === 'nobody') return "nobody's";
  return owner === 'conflict' ? 'in conflict' : `${owner}'s`;
};

const reasons: Readonly<Record<By, string>> = {
  port: 'by port, any device in it',
  serial: 'by serial number, this device in any port',
};

function byOf(given: string | boolean | undefined): By | undefined {
  if (given === undefined || given === 'port' || given === 'serial') return given;
  throw new Error('--by takes port or serial');
}

/** Whose each node is. */
const ownersOf = (infos: readonly DeviceInfo[]): Map<string, string> =>
  new Map(infos.flatMap(({ nodes, owner }) => nodes.map((node): [string, string] => [node, owner])));

async function deviceAt(node: string): Promise<{ unit: Unit; info: DeviceInfo }> {
  const request = { verb: 'record', device: node, unmask: true } as const;
  const fixture = await ask(controlSocket, request, 10_000);
  const { parseFixture } = await import('../policy/fixture.js');
  const read = parseFixture(node, JSON.stringify(fixture));
  if ('diagnostics' in read) throw new Error(read.diagnostics.map(formatDiagnostic).join('\n'));
  const infos = await ask(controlSocket, { verb: 'devices' }, 10_000);
  const info = infos.find(({ device }) => device === read.unit.id);
  if (info === undefined) throw new Error(`${node} was unplugged meanwhile: try again`);
  return { unit: read.unit, info };
}

/** All that is plugged, as udev knows it. */
async function plugged(): Promise<Unit[]> {
  const { DeviceTable } = await import('../udev/table.js');
  const table = new DeviceTable();
  table.take({ kind: 'resync', reason: 'start' });
  return table.units();
}

/** Asks on a terminal; elsewhere nothing is written without being told to. */
async function choice({ options }: Call, proposals: readonly Proposal[], file: string): Promise<By | undefined> {
  if (options['json'] === true || proposals.length === 0) return undefined;
  if (!process.stdin.isTTY || !process.stdout.isTTY) {
    console.log(`--write writes it into ${file}`);
    return undefined;
  }
  const words = proposals.map(({ by }) => by);
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const answer = (await terminal.question(`write it into ${file}? [${words.join('/')}/no] `)).trim();
    return words.find((word) => answer !== '' && word.startsWith(answer));
  } finally {
    terminal.close();
  }
}
