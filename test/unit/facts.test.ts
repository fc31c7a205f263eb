import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { factsOf, inOneMoment, type ThreadFacts, tellFacts } from '../../agent/kernel/facts.js';

const asked: number[] = [];
tellFacts((tid) => {
  asked.push(tid);
  return tid === 7 ? undefined : ({ start: String(asked.length) } as ThreadFacts);
});
test.before.each(() => {
  asked.length = 0;
});

test('a look asks the kernel once for each thread, also for one that has gone', () => {
  inOneMoment(() => {
    assert.equal([factsOf(5), factsOf(5), factsOf(7), factsOf(7)], [{ start: '1' }, { start: '1' }, 'gone', 'gone']);
  });
  assert.equal(asked, [5, 7]);
});

test('the next look, also after one that failed, and whoever asks outside of a look get a new answer', () => {
  assert.throws(() =>
    inOneMoment(() => {
      factsOf(5);
      throw new Error('it failed');
    }),
  );
  inOneMoment(() => factsOf(5));
  factsOf(5);
  factsOf(5);
  assert.equal(asked, [5, 5, 5, 5]);
});

test.run();
