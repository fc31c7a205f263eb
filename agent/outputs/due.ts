/** All who ask within this time are served by one run, ms. */
const gather = 20;

/** Nothing says that somebody changed the owner of a socket: it is looked at again, ms. */
const lookEvery = 30_000;

/** Does something soon after it was asked for, once for all who asked meanwhile, and every 30 s. */
export class Due {
  private timer: NodeJS.Timeout | undefined;
  private readonly look = setInterval(() => this.ask(), lookEvery).unref();

  constructor(private readonly run: () => void) {}

  ask(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.run();
    }, gather).unref();
  }

  end(): void {
    clearTimeout(this.timer);
    clearInterval(this.look);
  }
}
