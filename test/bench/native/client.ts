// Starts a measured agent, of this tree or of another one, and asks it.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Size } from '../result.js';
import { type Answers, protocol, type Reply, type Request } from './protocol.js';

/** It has answered by then, or hangs, ms. */
const limit = 180_000;

export class Measured {
  private constructor(private readonly child: ChildProcess) {}

  /**
   * `tree`: a built checkout. `profile`: a directory where it says at its end where the time went that was measured.
   * @throws Error when it has no agent that can be measured.
   */
  static async start(tree: string, size: Size, profile?: string): Promise<Measured> {
    const program = join(tree, 'dist/test/bench/native/subject.js');
    if (!existsSync(program)) throw new Error(`${program} is not there: is the tree built?`);
    const inNamespaces = ['--mount', '--net', '--propagation', 'private'];
    const child = spawn('unshare', [...inNamespaces, process.execPath, program], {
      // The agent's log goes where the journal would be: written, and read by nobody.
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const measured = new Measured(child);
    try {
      const { protocol: its } = await measured.ask({ ask: 'start', size, profile });
      if (its !== protocol) throw new Error(`${tree} speaks protocol ${its} of the bench, and this is ${protocol}`);
    } catch (error) {
      await measured.stop();
      throw error;
    }
    return measured;
  }

  ask<R extends Request>(request: R): Promise<Answers[R['ask']]> {
    const { child } = this;
    return new Promise((resolve, reject) => {
      const over = (): void => {
        clearTimeout(timer);
        child.off('message', replied);
        child.off('exit', ended);
      };
      const fail = (why: string): void => {
        over();
        reject(new Error(`${request.ask}: ${why}`));
      };
      const replied = (reply: Reply): void => {
        if ('error' in reply) {
          fail(reply.error);
        } else {
          over();
          resolve(reply.answer as Answers[R['ask']]);
        }
      };
      const ended = (code: number | null): void => fail(`the measured agent ended (${code ?? 'killed'})`);
      const timer = setTimeout(() => fail(`no answer within ${limit / 1000} s`), limit);
      child.on('message', replied);
      child.on('exit', ended);
      child.send(request, (error) => error !== null && fail(error.message));
    });
  }

  /** It takes down all that it has made. */
  async stop(): Promise<void> {
    const { child } = this;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const over = new Promise((resolve) => child.once('exit', resolve));
    if (child.connected) child.disconnect();
    const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
    await over;
    clearTimeout(timer);
  }
}
