// npm run lab: a PC with two seats, shown step by step: first with a card for each, then with one card for both and a music
// player beside them. On a terminal a prompt follows.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { bootWithTwoOutputs, type Lab, type Place, places, type Seat, seats } from './driver/lab.js';
import { out } from './driver/paths.js';
import { eavesdrop } from './driver/probes.js';
import { say, step } from './driver/progress.js';
import { HOTSEAT_CLI, HOTSEAT_UNIT, startAgent, xinput } from './driver/service.js';
import { scenario, takePictures } from './scenario/scenario.js';

const sentences: Record<Seat, string> = {
  left: 'The quick brown fox sits on the LEFT, and nobody else reads this.',
  right: 'Pack my box with five dozen liquor jugs: "RIGHT" seat, 100% private!',
};
const faults: string[] = [];

function judge(good: boolean, text: string): void {
  say(`${good ? '  ok   ' : '  WRONG'} ${text}`);
  if (!good) faults.push(text);
}

const tell = (error: unknown) => (error instanceof Error ? error.message : String(error));

async function attempt(what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    judge(false, `${what}: ${tell(error)}`);
  }
}

let logCursor = '';
/** The agent's new lines since the last time, the last 15. */
async function agentLog(lab: Lab): Promise<string[]> {
  const since = logCursor ? [`--after-cursor=${logCursor}`] : [];
  const { stdout } = await lab.guest(['journalctl', '-u', HOTSEAT_UNIT, '-o', 'cat', '--show-cursor', '-q', ...since]);
  const lines = stdout.split('\n').filter((line) => line !== '');
  logCursor = lines.at(-1)?.match(/^-- cursor: (.*)$/)?.[1] ?? logCursor;
  return lines.filter((line) => !line.startsWith('-- cursor: ')).slice(-15);
}

async function plugAndSee(lab: Lab, seat: Seat, driver: string, id: string): Promise<void> {
  const before = Object.fromEntries(await Promise.all(seats.map(async (s) => [s, await xinput(lab, s)] as const)));
  const start = Date.now();
  const device = await lab.plug({ seat, driver, id });
  say(`plugged ${driver} ${id} into port ${device.port}: the hub of ${seat}`);
  try {
    const seen = async () => (await xinput(lab, seat)).length > (before[seat]?.length ?? 0);
    await lab.until(`${id} in the xinput list of ${seat}`, seen, 15_000);
    judge(true, `${id} is in the xinput list of ${seat}, ${((Date.now() - start) / 1000).toFixed(1)} s after the plug`);
    for (const other of seats) {
      if (other === seat) continue;
      const same = (await xinput(lab, other)).length === before[other]?.length;
      judge(same, `${id} is ${same ? 'not ' : ''}in the xinput list of ${other}`);
    }
  } catch (error) {
    judge(false, tell(error));
  }
  for (const line of await agentLog(lab)) say(`    agent: ${line}`);
}

async function typeAndSee(lab: Lab): Promise<void> {
  // A login prompt shows no password and clears its screen: only a raw reader sees everything that reaches the console.
  await lab.guest(['systemctl', 'stop', 'getty@tty1']);
  const listener = await eavesdrop(lab);
  for (const seat of seats) {
    await attempt(`typing at ${seat}`, () => step(`typing at ${seat}`, () => lab.type(seat, `${sentences[seat]}\n`)));
    await attempt(`moving the mouse at ${seat}`, () => lab.move(seat, seat === 'left' ? -120 : 120, 60));
  }
  const arrived = async () =>
    (await Promise.all(seats.map((seat) => lab.typed(seat)))).every((lines) => lines.length > 0);
  await lab.until('a line at each seat', arrived, 10_000).catch(() => undefined);
  const leaked = listener.stdout.slice('reading\n'.length);
  await listener.kill();
  await lab.guest(['systemctl', 'start', 'getty@tty1']);
  judge(leaked === '', `${leaked === '' ? 'no' : leaked.length} character(s) reached the host's console`);
  for (const seat of seats) {
    const sentence = sentences[seat];
    judge((await lab.typed(seat)).includes(sentence), `the sentence of ${seat} arrived at ${seat}: ${sentence}`);
    for (const other of seats.filter((name) => name !== seat)) {
      judge(
        !(await lab.typed(other)).join('\n').includes(sentence),
        `the sentence of ${seat} did not arrive at ${other}`,
      );
    }
  }
}

/** Whether the seats have outputs of one card, so that their own cards show nothing. */
let isShared = false;

async function shots(lab: Lab, heads: readonly Place[]): Promise<void> {
  await mkdir(out, { recursive: true });
  if (isShared) for (const file of await takePictures(lab, out)) say(`screen: ${file}`);
  for (const head of heads.filter((place) => place === 'host' || !isShared)) {
    const file = join(out, `${head}.png`);
    await lab.shot(head, file);
    say(`screen of ${head}: ${file}`);
  }
}

async function tour(lab: Lab): Promise<void> {
  await lab.deploy();
  await attempt('starting the agent', () => startAgent(lab));
  await lab.startContainers();
  await lab.startScreens();
  for (const line of await agentLog(lab)) say(`    agent: ${line}`);
  for (const seat of seats) {
    await plugAndSee(lab, seat, 'usb-kbd', `${seat}-keyboard`);
    await plugAndSee(lab, seat, 'usb-mouse', `${seat}-mouse`);
  }
  await typeAndSee(lab);
  await shots(lab, places);
}

/** Each step builds on the one before it: the first that fails is the last. */
async function wholeText(lab: Lab): Promise<void> {
  say('and now one card for both desktops, and a music player: three unprivileged containers');
  isShared = true;
  for (const { title, run } of scenario(lab)) {
    await step(title, run);
    judge(true, title);
    for (const line of await agentLog(lab)) say(`    agent: ${line}`);
  }
  await shots(lab, places);
}

const help = `plug <host|left|right> <driver> [id]   usb-kbd, usb-mouse, usb-tablet, usb-audio …
unplug <id>                            plugged: see list
list                                   what is plugged in, and what each seat's X server has
type <head> <text>                     with Enter at the end
move <head> <dx> <dy>
shot [head]                            PNG files in test/lab/out
status                                 hotseat status
log                                    the agent's log
shell [command]                        in the guest; alone: line by line, until exit
in <left|right|music> <command>        in a container
quit`;

async function command(lab: Lab, line: string): Promise<string> {
  const [verb = '', ...args] = line.trim().split(/\s+/);
  const [first = '', second = ''] = args;
  const rest = (count: number) => args.slice(count).join(' ');
  const run = async (argv: readonly string[]) => {
    const { stdout, stderr, code } = await lab.guest(argv, { allowFailure: true });
    return `${stdout}${stderr}${code === 0 ? '' : `(exit code ${code})`}`.trimEnd();
  };
  const place = (name: string): Place => {
    const found = places.find((candidate) => candidate === name);
    if (!found) throw new Error(`which one? ${places.join(', ')}`);
    return found;
  };
  switch (verb) {
    case '':
      return '';
    case 'plug': {
      const id = args[2] ?? `${second}-${Date.now() % 100_000}`;
      const device = await lab.plug({ seat: place(first), driver: second, id });
      return `${id} is in port ${device.port}`;
    }
    case 'unplug':
      await lab.unplug(first);
      return 'unplugged';
    case 'list': {
      const plugged = [...lab.machine.plugged.values()].map(({ id, driver, port }) => `${id}  ${driver}  port ${port}`);
      const inside = await Promise.all(seats.map(async (seat) => `${seat}: ${(await xinput(lab, seat)).join(', ')}`));
      return [...plugged, ...inside].join('\n');
    }
    case 'type':
      await lab.type(place(first), `${rest(1)}\n`);
      return '';
    case 'move':
      await lab.move(place(first), Number(second), Number(args[2] ?? 0));
      return '';
    case 'shot':
      await shots(lab, first ? [place(first)] : places);
      return '';
    case 'status':
      return run([...HOTSEAT_CLI, 'status']);
    case 'log':
      return run(['journalctl', '-u', HOTSEAT_UNIT, '--no-pager', '-n', '100']);
    case 'shell':
      return run(['bash', '-c', rest(0)]);
    case 'in':
      return run(['lxc-attach', '-n', first, '--set-var=DISPLAY=:0', '--', 'sh', '-c', rest(1)]);
    default:
      return help;
  }
}

async function prompt(lab: Lab): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  terminal.on('SIGINT', () => terminal.close());
  process.stdout.write(`${help}\n`);
  let shell = false;
  terminal.setPrompt('lab> ');
  terminal.prompt();
  for await (const line of terminal) {
    if (line.trim() === 'quit') break;
    if (shell && line.trim() === 'exit') shell = false;
    else if (!shell && line.trim() === 'shell') shell = true;
    else {
      const text = await command(lab, shell ? `shell ${line}` : line).catch(tell);
      if (text) process.stdout.write(`${text}\n`);
    }
    terminal.setPrompt(shell ? 'lab# ' : 'lab> ');
    terminal.prompt();
  }
  terminal.close();
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));

const lab = await bootWithTwoOutputs();
try {
  await attempt('the tour', () => tour(lab));
  await attempt('one card for both', () => wholeText(lab));
  if (faults.length === 0) say('all is well: every sentence arrived at its own seat and nowhere else');
  else say(`${faults.length} thing(s) went wrong:\n${faults.map((fault) => `            - ${fault}`).join('\n')}`);
  if (process.stdin.isTTY && process.stdout.isTTY) await prompt(lab);
} finally {
  await lab.stop();
}
process.exitCode = faults.length === 0 ? 0 : 1;
