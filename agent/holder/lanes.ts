/** So many pieces of one seat's work may be at the kernel at once: each takes a thread, of which all seats share 64. */
const most = 4;

/** Work of one seat that the kernel can hold up, off the loop: one piece after the other for each device. */
export class Lanes {
  private readonly last = new Map<string, Promise<unknown>>();
  private readonly waiting: (() => void)[] = [];
  private busy = 0;

  /** `device`: an id that tells it from others. Settles as `work` does. */
  async run<T>(device: string, work: () => Promise<T>): Promise<T> {
    const before = this.last.get(device) ?? Promise.resolve();
    const turn = before.catch(() => undefined).then(() => this.inLane(work));
    this.last.set(device, turn);
    try {
      return await turn;
    } finally {
      if (this.last.get(device) === turn) this.last.delete(device);
    }
  }

  private async inLane<T>(work: () => Promise<T>): Promise<T> {
    while (this.busy >= most) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.busy += 1;
    try {
      return await work();
    } finally {
      this.busy -= 1;
      this.waiting.shift()?.();
    }
  }
}
