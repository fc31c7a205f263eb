// The scenario of the lab tells sound cards apart by their tones.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { strength, tone } from '../lab/scenario/tones.js';

/** The second half of a second is missing: an emulated card has gaps. */
function recorded(hertz: number): Buffer {
  const file = tone(hertz, 1);
  const [header, sound] = [file.subarray(0, 44), file.subarray(44)];
  const both = Buffer.alloc(2 * sound.length);
  for (let at = 0; at < sound.length / 2; at += 2) {
    sound.copy(both, 2 * at, at, at + 2);
    sound.copy(both, 2 * at + 2, at, at + 2);
  }
  return Buffer.concat([header, both]);
}

test('a recording has the tone that was played, and no other', () => {
  const sound = recorded(440);
  const found = [330, 440, 660].map((hertz) => Math.round(strength(sound, hertz) / 1000));
  assert.equal(found, [0, 8, 0]);
});

test('in silence there is no tone', () => {
  assert.is(strength(Buffer.alloc(400_000), 440), 0);
  assert.is(strength(Buffer.alloc(0), 440), 0);
});

test.run();
