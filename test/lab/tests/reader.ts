// A page of the documentation, followed in a PC as a user follows it: every example in order, as it stands.

import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { type Block, blocksOf, isShown, type Step, spansOf, stepsOf } from '../../readme.js';
import type { Process } from '../driver/channel.js';
import type { Lab } from '../driver/lab.js';
import { test } from '../driver/test.js';

/** What the text around a command has the user do, and what is looked at besides. */
export interface Around {
  readonly before?: () => Promise<void>;
  readonly meanwhile?: (running: Process) => Promise<void>;
  readonly after?: (answer: Answer) => Promise<void>;
}

/** What a command said on both of its streams, as on a terminal. */
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
    private readonly page: string,
    private readonly around: Readonly<Record<string, Around>>,
  ) {
    // npm runs elsewhere: it starts PCs like this one.
    this.examples = blocksOf(page).filter(({ text }) => !text.startsWith('npm '));
  }

  /** A test for each example. */
  register(): void {
    for (const block of this.examples) {
      test(`README.md:${block.line}: ${block.file ?? commandsOf(block)[0] ?? ''}`, () => this.follow(block));
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
    for (const key of Object.keys(this.around)) assert.ok(commands.includes(key), `the page no longer has: ${key}`);
    const isCommand = (span: string) => /^(hotseat|apt|systemctl|journalctl|loginctl|--)(?=[ a-z])\S* ?\w/.test(span);
    for (const span of spansOf(this.page).filter(isCommand)) {
      if (elsewhere.includes(span)) continue;
      const words = span.split(' ').map((word) => (/[A-Z]{3}/.test(word) ? '\\S+' : word.replace(/[.*+?]/g, '\\$&')));
      assert.ok(
        this.typed.some((line) => new RegExp(words.join('( -\\S+)* ')).test(line)),
        `nobody typed: ${span}`,
      );
    }
  }

  private async follow(block: Block): Promise<void> {
    const { file, text } = block;
    if (file !== undefined) return this.lab.putFile(resolve(this.cwd, file), text);
    if (block.language === 'console') for (const step of stepsOf(block)) await this.step(step);
    if (block.language !== 'sh') return;
    const around = this.around[commandsOf(block)[0] ?? ''];
    await around?.before?.();
    const answer = await this.type(text, around?.meanwhile);
    await around?.after?.(answer);
  }

  private async step({ command, shown, line }: Step): Promise<void> {
    const around = this.around[command];
    await around?.before?.();
    const answer = await this.type(command, around?.meanwhile);
    console.log(`$ ${command}\n${answer.said.trimEnd()}`);
    const wrong = `README.md:${line}: ${command}\nshown:\n${shown.join('\n')}\nsaid:\n${answer.said}`;
    assert.ok(isShown(shown, answer.said), wrong);
    await around?.after?.(answer);
  }
}

/** The commands of an example, each as it is typed; of a block without answers its lines. */
const commandsOf = (block: Block): string[] =>
  block.language === 'console' ? stepsOf(block).map(({ command }) => command) : block.text.trimEnd().split('\n');
