import { Worker } from 'node:worker_threads';

/** From and to, ms of the monotonic clock. */
type Span = readonly [from: number, to: number];

export const monotonic = (): number => Number(process.hrtime.bigint()) / 1e6;

/** Processor time of this process until now, ms. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Shorter gaps of the witness are how long it sleeps, and its turns of the processor, ms. */
const stall = 20;

/**
 * A thread that does nothing but look at the clock. When it gets no turn, the machine stands still: that is nobody's fault here, and
 * must not be taken for one.
 */
const witness = `
  const { parentPort, workerData } = require('node:worker_threads');
  const now = () => Number(process.hrtime.bigint()) / 1e6;
  const stop = new Int32Array(workerData);
  const stalls = [];
  parentPort.postMessage('up');
  for (let last = now(); Atomics.load(stop, 0) === 0; ) {
    Atomics.wait(stop, 0, 0, 5);
    const at = now();
    if (at - last > ${stall}) stalls.push([last, at]);
    last = at;
  }
  parentPort.postMessage(stalls);`;

/** Watches for how long the event loop of this process, and what is asked of it, has to wait. */
export class Waits {
  private readonly spans: { readonly span: Span; readonly cpu: number }[] = [];
  private last = monotonic();
  private lastCpu = cpuMs();
  private readonly beat: NodeJS.Timeout;

  private constructor(
    private readonly worker: Worker,
    private readonly stop: Int32Array,
  ) {
    this.beat = setInterval(() => this.note(), 1);
  }

  static async start(): Promise<Waits> {
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(witness, { eval: true, workerData: stop.buffer });
    await next(worker);
    return new Waits(worker, stop);
  }

  private note(): void {
    const [now, cpu] = [monotonic(), cpuMs()];
    this.spans.push({ span: [this.last, now], cpu: cpu - this.lastCpu });
    this.last = now;
    this.lastCpu = cpu;
  }

  /**
   * Ends the watch. `loop`: for how long the event loop stood still at most, ms; `busy`: how much processor time it took at most
   * before others had a turn, ms; `of`: how much of a time was not the machine's own standstill, ms.
   */
  async end(): Promise<{ readonly loop: number; readonly busy: number; of(span: Span): number }> {
    clearInterval(this.beat);
    this.note();
    Atomics.store(this.stop, 0, 1);
    Atomics.notify(this.stop, 0);
    const stalls = (await next(this.worker)) as readonly Span[];
    await this.worker.terminate();
    const of = ([from, to]: Span): number =>
      stalls.reduce(
        (rest, [began, ended]) => rest - Math.max(Math.min(to, ended) - Math.max(from, began), 0),
        to - from,
      );
    return {
      loop: Math.max(...this.spans.map(({ span }) => of(span))),
      busy: Math.max(...this.spans.map(({ span, cpu }) => Math.min(of(span), cpu))),
      of,
    };
  }
}

const next = (worker: Worker): Promise<unknown> =>
  new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));

/** Does something, and answers with how long everything else in this process waited at most meanwhile, ms. */
export async function longestWait(act: () => Promise<unknown>): Promise<number> {
  const waits = await Waits.start();
  const began = performance.now();
  let loop = 0;
  try {
    await act();
  } finally {
    const took = Math.round(performance.now() - began);
    loop = (await waits.end()).loop;
    console.log(`it took ${took} ms, nobody else waited over ${Math.round(loop)} ms`);
  }
  return loop;
}
