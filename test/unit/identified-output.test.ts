// The name of an output, shown on it, with a model of the kernel behind it; `lab/lease` has a real card, and looks at its picture.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { LeasedOutput } from '../../agent/core/leases.js';
import { identifiedBy } from '../../agent/holder/identify-messages.js';
import { type NameCalls, ShownName } from '../../agent/holder/shown-name.js';
import type { Mode } from '../../agent/kernel/drm.js';

const mode: Mode = { width: 1024, height: 768, bytes: Buffer.alloc(68) };

/** A card with two connectors and two CRTCs; the second connector has only the first of these. */
class Model implements NameCalls {
  readonly done: string[] = [];
  mode: Promise<Mode | undefined> = Promise.resolve(mode);

  connectorsOfCard = async () => [
    { id: 1, name: 'DP-1', crtcs: [10, 11] },
    { id: 2, name: 'DP-2', crtcs: [10] },
  ];
  monitorMode = () => this.mode;
  drawPicture = async (_: number, width: number, height: number) => {
    this.done.push(`draw ${width}x${height}`);
    return { framebuffer: 7, handle: 8 };
  };
  showPicture = async (_: number, crtc: number, connector: number) => void this.done.push(`show ${crtc} ${connector}`);
  forgetPicture = async () => void this.done.push('forget');
  switchOff = async (_: number, crtc: number) => void this.done.push(`off ${crtc}`);
}

const card = () => {
  const model = new Model();
  const leased = new Map<string, readonly LeasedOutput[]>();
  const held: { fd: number | undefined } = { fd: 5 };
  const name = new ShownName(
    { node: '/dev/dri/card1', master: () => held.fd, leased: () => leased, inTurn: (work) => work() },
    () => undefined,
    model,
  );
  return { name, model, leased, held, did: () => model.done.splice(0) };
};
const wanted = (connector: string, ms = 60_000) => ({ connector, lines: [connector], ms });
const refusal = async (shown: Promise<void>) =>
  (await identifiedBy({ identify: 1, node: '/dev/dri/card1', ...wanted('') }, shown)).refusal;

test('a name is shown for a while, then the output is dark and the picture is gone', async () => {
  const { name, did } = card();
  await name.identify(wanted('DP-1', 20));
  assert.equal(did(), ['draw 1024x768', 'show 10 1']);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(did(), ['off 10', 'forget']);
  await name.end();
  assert.equal(did(), []);
});

test('an output that is leased is left alone, and so is a CRTC of another one’s', async () => {
  const { name, leased, did } = card();
  leased.set('right', [{ connector: 'DP-2', crtc: 10 }]);
  assert.equal(await refusal(name.identify(wanted('DP-2'))), {
    ...{ code: 'output-in-use', text: "DP-2 shows the picture of right's display server" },
  });
  assert.equal(did(), []);
  await name.identify(wanted('DP-1'));
  assert.equal(did(), ['draw 1024x768', 'show 11 1']);
  await name.end();
  leased.set('right', [{ connector: 'DP-1', crtc: 10 }]);
  did();
  assert.is((await refusal(name.identify(wanted('DP-2'))))?.code, 'output-in-use', 'it has no other CRTC');
  assert.equal(did(), []);
});

test('a name that comes too late for whoever asked is not shown', async () => {
  const { name, model, did } = card();
  let answer: (found: Mode) => void = () => undefined;
  model.mode = new Promise((resolve) => {
    answer = resolve;
  });
  let isAwaited = true;
  const shown = refusal(name.identify(wanted('DP-1'), () => isAwaited));
  isAwaited = false;
  answer(mode);
  assert.match((await shown)?.text ?? '', /nobody waits/);
  assert.equal(did(), []);
});

test('without a monitor, without the card and without the connector the answer says so', async () => {
  const { name, model, held, did } = card();
  model.mode = Promise.resolve(undefined);
  assert.is((await refusal(name.identify(wanted('DP-1'))))?.code, 'no-monitor');
  assert.match((await refusal(name.identify(wanted('DP-9'))))?.text ?? '', /has no connector DP-9/);
  held.fd = undefined;
  assert.is((await refusal(name.identify(wanted('DP-1'))))?.code, 'failed');
  assert.equal(did(), []);
});

test('the second name takes the place of the first one', async () => {
  const { name, did } = card();
  await name.identify(wanted('DP-1'));
  await name.identify(wanted('DP-2'));
  await name.end();
  const [first, second] = ['show 10 1', 'show 10 2'].map((show) => ['draw 1024x768', show, 'off 10', 'forget']);
  assert.equal(did(), [...(first ?? []), ...(second ?? [])]);
});

test.run();
