import type { LeasedOutput } from '../core/leases.js';
import * as drm from '../kernel/drm.js';
import type { Say } from './card.js';
import { UnshownError, type WantedName } from './identify-messages.js';
import { nameplate } from './nameplate.js';

/** A card of which the holder is master, as far as a name on it is concerned. */
export interface NamedCard {
  readonly node: string;
  /** The master's descriptor; undefined while there is none. */
  readonly master: () => number | undefined;
  /** The leased outputs of each seat. */
  readonly leased: () => ReadonlyMap<string, readonly LeasedOutput[]>;
  /** Does something when nothing else is done to the card. */
  readonly inTurn: (work: () => Promise<void>) => Promise<void>;
}

/** The kernel's side of a picture; another one in tests. */
export type NameCalls = Pick<
  typeof drm,
  'connectorsOfCard' | 'monitorMode' | 'drawPicture' | 'showPicture' | 'forgetPicture' | 'switchOff'
>;

interface Shown {
  readonly fd: number;
  readonly crtc: number;
  readonly picture: drm.Picture;
  readonly timer: NodeJS.Timeout;
}

/**
 * A name on an output that nobody has leased, for a while: a person looks at which monitor it is. One at a time on each card.
 * Both methods may be called in the card's turn alone.
 */
export class ShownName {
  private shown: Shown | undefined;

  constructor(
    private readonly card: NamedCard,
    private readonly say: Say,
    private readonly calls: NameCalls = drm,
  ) {}

  /**
   * Shows the name of an output on it, in the place of one that is shown now. `isAwaited`: whether somebody still looks.
   * @throws UnshownError with words for people
   */
  async identify(
    { connector, lines, ms }: Pick<WantedName, 'connector' | 'lines' | 'ms'>,
    isAwaited: () => boolean = () => true,
  ): Promise<void> {
    const { node } = this.card;
    const fd = this.card.master();
    if (fd === undefined) throw new UnshownError('failed', `${node} is not held yet`);
    this.refuseLeased(connector);
    const one = (await this.calls.connectorsOfCard(fd)).find(({ name }) => name === connector);
    if (one === undefined) throw new UnshownError('failed', `${node} has no connector ${connector}`);
    const mode = await this.calls.monitorMode(fd, one.id);
    // The kernel may have been kept busy meanwhile.
    const unawaited = new UnshownError('failed', `nobody waits for the name of ${connector} any more`);
    if (!isAwaited()) throw unawaited;
    if (mode === undefined) throw new UnshownError('no-monitor', `no monitor is at ${connector} of ${node}`);
    const taken = new Set([...this.card.leased().values()].flatMap((outputs) => outputs.map(({ crtc }) => crtc)));
    const crtc = one.crtcs.find((id) => !taken.has(id));
    if (crtc === undefined) throw new UnshownError('output-in-use', `other outputs have all CRTCs for ${connector}`);
    await this.end();
    const { width, height } = mode;
    const picture = await this.calls.drawPicture(fd, width, height, nameplate(lines, width, height));
    try {
      await this.calls.showPicture(fd, crtc, one.id, mode, picture);
    } catch (error) {
      await this.calls.forgetPicture(fd, picture);
      throw error;
    }
    const shown: Shown = {
      ...{ fd, crtc, picture },
      timer: setTimeout(() => void this.card.inTurn(() => this.end(shown)), ms).unref(),
    };
    this.shown = shown;
    if (!isAwaited()) {
      await this.end();
      throw unawaited;
    }
    this.say(`${node}: the name of ${connector} is shown on it for ${ms / 1000} s`);
  }

  /** Switches a name off, also before its time: a display server comes, or the card goes. */
  async end(which = this.shown): Promise<void> {
    if (this.shown === undefined || this.shown !== which) return;
    const { fd, crtc, picture, timer } = this.shown;
    this.shown = undefined;
    clearTimeout(timer);
    try {
      try {
        await this.calls.switchOff(fd, crtc);
      } finally {
        await this.calls.forgetPicture(fd, picture);
      }
    } catch (error) {
      this.say(`${this.card.node}: the name that was shown: ${(error as Error).message}`);
    }
  }

  private refuseLeased(connector: string): void {
    for (const [seat, outputs] of this.card.leased())
      if (outputs.some((one) => one.connector === connector))
        throw new UnshownError('output-in-use', `${connector} shows the picture of ${seat}'s display server`);
  }
}
