import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { Fact } from '../../src/node/facts.ts';
import { Pace } from '../../src/node/pace.ts';
import { memberId } from '../../src/std/member-id.ts';
import { instant } from '../../src/std/time.ts';
import type { StreamFact } from '../../src/stream/events.ts';
import { VirtualClock } from './world.ts';

/** An answer whose request arrived at 20 ms. */
function rig(isRest = false) {
  const clock = new VirtualClock();
  const facts: Fact[] = [];
  const serving = { report: (fact: Fact) => void facts.push(fact) };
  const pace = new Pace({ request: 'r', model: 'm', arrivedAt: instant(20), isRest }, { clock, serving });
  return { clock, facts, pace };
}

const event = { data: 'x', id: 'i' };
const finished = (tokens: number) =>
  ({ fact: 'stream.finished', durationMs: 1, model: 'm', tokens, moves: 0 }) as const;
const moved: Extract<StreamFact, { fact: 'stream.moved' }> = {
  ...{ fact: 'stream.moved', from: memberId('a'), to: memberId('b'), way: 'ids' },
  ...{ tokens: 3, stallMs: 40, cause: 'eof' },
};

test('the first event is told by the time since the request arrived, and the tokens after it by their mean gap', async () => {
  const { clock, facts, pace } = rig();
  await clock.run(120);
  pace.begin(event);
  await clock.run(400);
  deepEqual(facts, [{ fact: 'stream.begun', model: 'm', ttftMs: 100, request: 'r' }]);
  deepEqual(pace.told(finished(5)), { ...finished(5), perTokenMs: 100, request: 'r' });
  deepEqual(pace.told(finished(1)), { ...finished(1), request: 'r' });
});

test('an error is no first event, and the rest of an answer has none', () => {
  for (const [isRest, first] of [
    [false, { ...event, id: null }],
    [true, event],
  ] as const) {
    const { facts, pace } = rig(isRest);
    pace.begin(first);
    deepEqual([facts, pace.told(finished(5))], [[], { ...finished(5), request: 'r' }]);
  }
});

test('a move is told with whether its client had heard anything', () => {
  const { pace } = rig();
  deepEqual(pace.told(moved), { ...moved, begun: false, request: 'r' });
  pace.begin(event);
  deepEqual(pace.told(moved), { ...moved, begun: true, request: 'r' });
});
