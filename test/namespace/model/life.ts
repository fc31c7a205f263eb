/** The agent has crashed: nothing that it had under way has any effect from here on. */
export class Crash extends Error {
  override name = 'Crash';
}

/** More than this nobody does about a few devices: it goes in circles. */
const most = 20_000;

/**
 * What may happen in the middle of what the agent does: anything between two of its effects, and what the agent itself hears
 * of only where it waits.
 */
export type Meanwhile = (where: 'between effects' | 'while it waits') => void;

/** One run of the agent, from its start to its end: all its effects go through here, and stop with its death. */
export class Life {
  dead = false;
  private effects = 0;

  constructor(private readonly meanwhile: Meanwhile) {}

  /** Does something to the world, unless the agent dies before that. */
  act<T>(run: () => T): T {
    this.live();
    if (++this.effects > most) throw new Error('the agent does not come to rest');
    this.meanwhile('between effects');
    this.live();
    const result = run();
    this.meanwhile('between effects');
    this.live();
    return result;
  }

  /** As `act`, for actions that take time. */
  async later<T>(run: () => T): Promise<T> {
    await undefined;
    this.live();
    this.meanwhile('while it waits');
    return this.act(run);
  }

  private live(): void {
    if (this.dead) throw new Crash('the agent is dead');
  }
}
