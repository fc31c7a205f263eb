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

/** A name on an output that nobody has leased, for a while: a person looks at which monitor it is. One at a time on each card. */
export class ShownName {
  private shown: Shown | undefined;

  constructor(
    private readonly card: NamedCard,
    private readonly say: Say,
    private readonly calls: NameCalls = drm,
  ) {}

  /**
   * Shows the name of an output on it, in the place of one that is shown now.
   * @throws UnshownError with words for people
   */
  async identify({ connector, lines, ms }: Pick<WantedName, 'connector' | 'lines' | 'ms'>): Promise<void> {
    const { node } = this.card;
    const fd = this.card.master();
    if (fd === undefined) throw new UnshownError('failed', `${node} is not held yet`);
    this.refuseLeased(connector);
    const one = this.calls.connectorsOfCard(fd).find(({ name }) => name === connector);
    if (one === undefined) throw new UnshownError('failed', `${node} has no connector ${connector}`);
    const mode = await this.calls.monitorMode(fd, one.id);
    // A display server may have come meanwhile, or the card may have gone.
    if (this.card.master() !== fd) throw new UnshownError('failed', `${node} is not held any more`);
    this.refuseLeased(connector);
    if (mode === undefined) throw new UnshownError('no-monitor', `no monitor is at ${connector} of ${node}`);
    const taken = new Set([...this.card.leased().values()].flatMap((outputs) => outputs.map(({ crtc }) => crtc)));
    const crtc = one.crtcs.find((id) => !taken.has(id));
    if (crtc === undefined) throw new UnshownError('output-in-use', `other outputs have all CRTCs for ${connector}`);
    this.end();
    const { width, height } = mode;
    const picture = this.calls.drawPicture(fd, width, height, nameplate(lines, width, height));
    try {
      this.calls.showPicture(fd, crtc, one.id, mode, picture);
    } catch (error) {
      this.calls.forgetPicture(fd, picture);
      throw error;
    }
    const timer = setTimeout(() => this.end(), ms).unref();
    this.shown = { fd, crtc, picture, timer };
    this.say(`${node}: the name of ${connector} is shown on it for ${ms / 1000} s`);
  }

  /** Switches it off before its time: a display server comes, or the card goes. */
  end(): void {
    if (this.shown === undefined) return;
    const { fd, crtc, picture, timer } = this.shown;
    this.shown = undefined;
    clearTimeout(timer);
    try {
      this.calls.switchOff(fd, crtc);
      this.calls.forgetPicture(fd, picture);
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
