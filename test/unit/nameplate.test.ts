import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dotsOf } from '../../agent/holder/letters.js';
import { type Band, nameplate } from '../../agent/holder/nameplate.js';

const drawn = (text: string): string[] => dotsOf(text).map((row) => row.map((isLit) => (isLit ? '#' : '.')).join(''));

test('letters are what a person reads, each with a gap behind it', () => {
  assert.equal(drawn('eP-1'), [
    '#####.####..........#...',
    '#.....#...#........##...',
    '#.....#...#.........#...',
    '####..####..#####...#...',
    '#.....#.............#...',
    '#.....#.............#...',
    '#####.#............###..',
  ]);
  assert.equal(drawn('é')[3], '#####.', 'a letter that there is not is a block');
});

test('all letters of connectors, cards and seats are there, and no two look the same', () => {
  const all = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_. '].map((letter) => drawn(letter).join('\n'));
  assert.is(new Set(all).size, all.length);
  assert.not.ok(all.includes(drawn('é').join('\n')));
});

/** Pixels of a picture that are lit, as rows of text. */
const edges = (bands: readonly Band[]) => {
  const columns = bands.flatMap(({ lit }) => lit.flat());
  const ends = bands.filter(({ lit }) => lit.length > 0);
  return {
    left: Math.min(...columns),
    right: Math.max(...columns),
    top: Math.min(...ends.map(({ top }) => top)),
    bottom: Math.max(...ends.map(({ top, rows }) => top + rows)),
  };
};

for (const [width, height] of [
  [640, 480],
  [1024, 768],
  [1080, 1920],
  [3840, 2160],
] as const) {
  test(`on ${width}x${height} the name is large, in the middle and within the picture`, () => {
    for (const name of ['DP-1', 'HDMI-A-1', 'Virtual-12']) {
      const { left, right, top, bottom } = edges(nameplate([name, 'card1 left'], width, height));
      assert.ok(left >= 0 && right <= width && top >= 0 && bottom <= height);
      assert.ok(right - left > width / 3, `${name}: ${right - left} of ${width}`);
      assert.ok(Math.abs(left + right - width) < width / 10 && Math.abs(top + bottom - height) < height / 10);
    }
  });
}

test('a picture that is too small, and a line without letters, are no error', () => {
  nameplate(['DP-1'], 8, 8);
  nameplate([''], 640, 480);
  nameplate([], 640, 480);
});

test.run();
