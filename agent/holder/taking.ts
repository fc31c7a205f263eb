import type { Lanes } from '../kernel/lanes.js';
import { soon } from '../kernel/soon.js';
import type { OpenedDevice } from './opened-device.js';
import { patience } from './patience.js';

/**
 * Open files of all seats that are being taken back. Until the kernel is done with one, somebody may still read from it. Every
 * answer to the agent says so, also when its client or its seat have gone since.
 */
export class Taking {
  private readonly pending = new Set<OpenedDevice>();

  /** Why they are not taken back yet, by the device's id. */
  get left(): Record<string, string> {
    return Object.fromEntries([...this.pending].map(({ device }) => [device.id, notYet(device.path)]));
  }

  /** Settles with why it is not taken back, at the latest after `patience`; undefined when it is. */
  async take(opened: OpenedDevice, lanes: Lanes): Promise<string | undefined> {
    this.pending.add(opened);
    const taken = lanes.run(opened.device.id, () => opened.revoke()).finally(() => this.pending.delete(opened));
    const end = await soon(
      taken.then((why) => ({ why })),
      patience,
    );
    return end === undefined ? notYet(opened.device.path) : end.why;
  }
}

const notYet = (path: string): string =>
  `${path} is not taken back yet: somebody who has a device of the seat open keeps the kernel busy with it`;
