// Where the time of this process goes, for Chrome's developer tools and for readers of JSON.

import { mkdirSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { join } from 'node:path';

/** µs. */
const interval = 100;

export class Profile {
  private constructor(
    private readonly session: Session,
    private readonly file: string,
  ) {}

  /** Not from the start of the process: its timer's signals would interrupt the kernel's verifier of programs. */
  static async begin(directory: string, name: string): Promise<Profile> {
    const session = new Session();
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval });
    await session.post('Profiler.start');
    return new Profile(session, join(directory, `${name}-${process.pid}.cpuprofile`));
  }

  async end(): Promise<void> {
    const { profile } = await this.session.post('Profiler.stop');
    mkdirSync(join(this.file, '..'), { recursive: true });
    writeFileSync(this.file, JSON.stringify(profile));
    this.session.disconnect();
  }
}
