// Pages of the documentation, followed in a PC as a user follows them: every example in order, as it stands.

import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { type Block, commandsOf, examplesOf, isShown, type Page, type Step, stepsOf, untyped } from '../../readme.js';
import type { Process } from '../driver/channel.js';
import type { Lab } from '../driver/lab.js';
import { test } from '../driver/test.js';

/** The actions that the text around a command asks for, and further checks. */
export interface Around {
  readonly before?: () => Promise<void>;
  readonly meanwhile?: (running: Process) => Promise<void>;
  readonly after?: (answer: Answer) => Promise<void>;
}

/** The output of a command on both of its streams, as on a terminal. */
export interface Answer {
  readonly said: string;
  readonly code: number;
}

export class Reader {
  /** Every command line that was typed. */
  readonly typed: string[] = [];
  /** Where the user is. */
  private cwd = '/root';
  private readonly examples: readonly Block[];

  /** `around`: by command, or by the first line of a block of commands. */
  constructor(
    private readonly lab: Lab,
    private readonly pages: readonly Page[],
    private readonly around: Readonly<Record<string, Around>>,
  ) {
    this.examples = examplesOf(pages);
  }

  /** A test for each example. */
  register(): void {
    for (const block of this.examples) {
      test(`${block.page}:${block.line}: ${block.file ?? commandsOf(block)[0] ?? ''}`, () => this.follow(block));
    }
  }

  /** Types a command line. Fails for an exit status above 1, which is an answer of ours as well; 2 is misuse. */
  async type(command: string, meanwhile?: (running: Process) => Promise<void>): Promise<Answer> {
    this.typed.push(command);
    const script = `exec 2>&1; cd '${this.cwd}'; trap 'pwd > /run/reader-cwd' EXIT; set -e; ${command}`;
    const env = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
    const running = this.lab.start(['bash', '-c', script], { timeoutMs: 200_000, env });
    running.end();
    await meanwhile?.(running);
    const { code, stdout } = await running.done;
    assert.ok(code <= 1, `${command}: exit status ${code}\n${stdout}`);
    this.cwd = await this.lab.sh('cat /run/reader-cwd');
    return { said: stdout, code };
  }

  /** Fails unless every command that the text names was typed, and everything around a command has its command. */
  missedNothing(elsewhere: readonly string[]): void {
    const commands = this.examples.flatMap(commandsOf);
    for (const key of Object.keys(this.around)) assert.ok(commands.includes(key), `no page has: ${key}`);
    assert.equal(untyped(this.pages, this.typed, elsewhere), []);
  }

  private async follow(block: Block): Promise<void> {
    const { file, text } = block;
    if (file !== undefined) return this.lab.putFile(resolve(this.cwd, file), text);
    if (block.language === 'console') for (const step of stepsOf(block)) await this.step(step, block.page);
    if (block.language !== 'sh') return;
    const around = this.around[commandsOf(block)[0] ?? ''];
    await around?.before?.();
    const answer = await this.type(text, around?.meanwhile);
    await around?.after?.(answer);
  }

  private async step({ command, shown, line }: Step, page: string): Promise<void> {
    const around = this.around[command];
    await around?.before?.();
    const answer = await this.type(command, around?.meanwhile);
    console.log(`$ ${command}\n${answer.said.trimEnd()}`);
    const wrong = `${page}:${line}: ${command}\nshown:\n${shown.join('\n')}\nsaid:\n${answer.said}`;
    assert.ok(isShown(shown, answer.said), wrong);
    await around?.after?.(answer);
  }
}
