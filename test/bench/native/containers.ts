// Stand-ins for running containers: a process each, with mounts, a network and a group of its own.

import type { ChildProcess } from 'node:child_process';
import { rmdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Container } from '../../../agent/engines/engine.js';
import { standIn } from '../../namespace/stand-in.js';

export class Containers {
  private readonly running: { readonly child: ChildProcess; readonly container: Container }[] = [];

  /** `root`: group that theirs are made below. */
  constructor(private readonly root: string) {}

  async start(names: readonly string[]): Promise<Container[]> {
    for (const name of names) this.running.push(await standIn(join(this.root, name)));
    return this.running.map(({ container }, index) => ({ ...container, name: names[index] ?? '' }));
  }

  async end(): Promise<void> {
    for (const { child, container } of this.running.splice(0)) {
      const over = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGKILL');
      await over;
      rmdirSync(container.cgroup);
    }
  }
}
