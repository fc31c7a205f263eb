// `hotseat identify` of an output: its name, on the monitor.

import * as assert from 'uvu/assert';
import { nameplate } from '../../../agent/holder/nameplate.js';
import type { Lab } from '../driver/lab.js';
import { twoOutputs } from '../driver/machine.js';
import { shownAt } from '../driver/picture.js';
import { HOTSEAT_CLI } from '../driver/service.js';
import { test } from '../driver/test.js';

/** The card with two outputs, by its name, and the names of its connectors, as QEMU counts them. */
export interface TwoOutputs {
  readonly lab: Lab;
  readonly card: string;
  readonly connectors: readonly string[];
}

/** White pixels of an output, by row and column, and the size of its picture. */
async function whiteAt(lab: Lab, head: 0 | 1): Promise<{ width: number; height: number; white: Set<number> }> {
  const { width, height, pixels } = await shownAt(lab, twoOutputs, head);
  const white = new Set<number>();
  for (let at = 0; at < width * height; at++) if (pixels.readUIntBE(3 * at, 3) === 0xffffff) white.add(at);
  return { width, height, white };
}

const identify = ({ lab, card, connectors }: TwoOutputs, head: number, ...words: string[]) =>
  lab.guest([...HOTSEAT_CLI, 'identify', `${card}-${connectors[head]}`, '--json', ...words], { allowFailure: true });

/** While nobody has leased an output, its name can be seen on it, and on no other. */
export function identifiedOutput(outputs: TwoOutputs): void {
  const { lab, card, connectors } = outputs;
  test('an output that nobody has leased shows its name for a while, and nothing afterwards', async () => {
    const { stdout, stderr } = await identify(outputs, 1, '--timeout', '20s');
    const name = connectors[1] ?? '';
    assert.equal(JSON.parse(stdout || stderr), { output: `${card}-${name}`, owner: 'right', forMs: 20_000 });
    const { width, height, white } = await whiteAt(lab, 1);
    const expected = new Set<number>();
    for (const { top, rows, lit } of nameplate([name, `${card} right`], width, height))
      for (let row = top; row < top + rows; row++)
        for (const [from, to] of lit) for (let column = from; column < to; column++) expected.add(row * width + column);
    assert.equal([white.size, [...white].filter((at) => !expected.has(at))], [expected.size, []]);
    const picture = process.env['HOTSEAT_LAB_PICTURE'];
    if (picture !== undefined) await lab.shot(twoOutputs, picture, 1);
    assert.is((await whiteAt(lab, 0)).white.size, 0, 'on the other output as well');
    await lab.until('it to be dark again', async () => (await whiteAt(lab, 1)).white.size === 0, 30_000);
  });
}

/** A display server has the output. */
export function leasedOutput(outputs: TwoOutputs): void {
  test('an output that is leased is left alone', async () => {
    const { code, stderr, stdout } = await identify(outputs, 0);
    assert.is(code, 2);
    const said = JSON.parse(stdout || stderr) as { code: string; error: string };
    assert.is(said.code, 'output-in-use');
    assert.match(said.error, /left's display server/);
  });
}
