import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { Fact } from '../../src/node/facts.ts';
import { Pace } from '../../src/node/pace.ts';
import { memberId } from '../../src/std/member-id.ts';
import { instant } from '../../src/std/time.ts';
import type { StreamFact } from '../../src/stream/events.ts';
import { VirtualClock } from './world.ts';

/** An answer whose request arrived at 20 ms. */
function rig(had: ConstructorParameters<typeof Pace>[0]['had'] = 'nothing') {
  const clock = new VirtualClock();
  const facts: Fact[] = [];
  const serving = { report: (fact: Fact) => void facts.push(fact) };
  const pace = new Pace({ request: 'r', model: 'm', arrivedAt: instant(20), had }, { clock, serving });
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
  pace.begin(event, ['ids']);
  await clock.run(400);
  pace.tell(finished(5));
  pace.tell(finished(1));
  deepEqual(facts, [
    { fact: 'stream.begun', model: 'm', ttftMs: 100, request: 'r' },
    { ...finished(5), perTokenMs: 100, request: 'r' },
    { ...finished(1), request: 'r' },
  ]);
});

test('an error is no first event', () => {
  for (const had of ['nothing', 'beginning'] as const) {
    const { facts, pace } = rig(had);
    pace.begin({ ...event, id: null }, ['ids']);
    pace.tell(finished(5));
    deepEqual(facts, [{ ...finished(5), request: 'r' }]);
  }
});

test('the rest of an answer has no first token, but a time that its client waited for it', async () => {
  const { clock, facts, pace } = rig('beginning');
  await clock.run(120);
  pace.begin(event, ['ids', 'derender', 'ids']);
  pace.tell(finished(5));
  deepEqual(facts, [
    { fact: 'stream.resumed', model: 'm', way: 'ids derender', waitMs: 100, request: 'r' },
    { ...finished(5), request: 'r' },
  ]);
});

test('what is made again for nobody neither begins nor finishes, and its moves are told', () => {
  const { facts, pace } = rig('all');
  pace.begin(event, ['ids']);
  pace.tell(moved);
  pace.tell(finished(5));
  deepEqual(facts, [{ ...moved, begun: true, request: 'r' }]);
});

test('a move is told with whether its client had heard anything', () => {
  const { facts, pace } = rig();
  pace.tell(moved);
  pace.begin(event, ['ids']);
  pace.tell(moved);
  deepEqual(
    facts.filter(({ fact }) => fact === 'stream.moved'),
    [false, true].map((begun) => ({ ...moved, begun, request: 'r' })),
  );
});
