import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import type { Accounts } from '../../src/gateway/accounts.ts';
import { openEntrance } from '../../src/gateway/entrance.ts';
import type { ApiKey } from '../../src/node/api-key.ts';
import type { Fact } from '../../src/node/facts.ts';
import type { Spent } from '../../src/node/spent.ts';
import { noAbility } from '../../src/std/ability.ts';
import type { Json } from '../../src/std/json.ts';
import { memberId } from '../../src/std/member-id.ts';
import { everyone } from '../../src/std/room.ts';
import { VirtualClock } from '../node/world.ts';

const mib = 1_024 ** 2;
const key: ApiKey = { name: 'a', sha256: '', limits: { requestsPerMinute: null, tokensPerMinute: 1 } };

/** One member, whose queue is as long as the test says, and an account that only adds up. */
function rig() {
  const clock = new VirtualClock();
  const queue = { waiting: 0 };
  const charged = { tokens: 0, requests: 0 };
  const accounts: Accounts = {
    admit: (_, tokens) => {
      charged.tokens += tokens;
      charged.requests += 1;
      return { type: 'admitted', at: clock.now() };
    },
    settle: (_, tokens, estimate) => void (charged.tokens += tokens - (estimate?.tokens ?? 0)),
    hear: () => {},
    close: () => {},
  };
  const load = () => ({ running: 1, waiting: queue.waiting });
  const member = () => ({
    member: memberId('m'),
    self: true,
    zone: 'z',
    load: load(),
    unreported: 0,
    ...{ doubted: false, contextTokens: null },
  });
  /** That it serves. */
  const models = new Set(['m']);
  const model = (id: string) =>
    models.has(id) ? { id, ready: [member()], starting: 0, contextTokens: null, ability: noAbility } : null;
  const facts: Fact[] = [];
  const report = (fact: Fact): void => void facts.push(fact);
  const entrance = openEntrance({ accounts, serving: { model, report }, clock });
  const told: string[] = [];
  const enter = (
    name: string,
    bytes: number,
    spends: number | null = null,
    body: Json = {},
    owner = everyone,
  ): (() => void) =>
    entrance.enter(
      { key, owner, model: 'm', body, headers: {}, bytes, characters: 400, generates: true },
      {
        go: (spent) => {
          told.push(`${name} goes`);
          if (spends !== null) spent(spends);
          return () => told.push(`${name} ends`);
        },
        refuse: ({ status }) => told.push(`${name} ${status}`),
      },
    );
  /** `found`: at once. */
  const resume = (name: string, bytes: number, so: { found?: boolean; spends?: number } = {}): (() => void) =>
    entrance.resume(
      { key: { ...key, name }, owner: everyone, bytes, from: 40 },
      {
        go: (spent, found) => {
          told.push(`${name} goes`);
          if (so.found === true) found();
          if (so.spends !== undefined) spent(so.spends);
          return () => told.push(`${name} ends`);
        },
        refuse: ({ status, headers }) => told.push(`${name} ${status} ${headers?.['retry-after']}`),
      },
    );
  return { clock, queue, charged, entrance, told, enter, resume, models, facts };
}

test('[A6] the bodies of all that were let in are bounded, whether they wait or are answered', async () => {
  const { clock, queue, entrance, told, enter } = rig();
  const end = enter('a', 300 * mib);
  queue.waiting = 100;
  const leave = enter('b', 200 * mib);
  enter('c', 20 * mib)();
  deepEqual(told.splice(0), ['a goes', 'c 503']);
  leave();
  leave();
  enter('d', 200 * mib);
  enter('e', 20 * mib);
  deepEqual(told.splice(0), ['e 503']);
  end();
  end();
  enter('f', 300 * mib);
  queue.waiting = 0;
  await clock.run(100);
  deepEqual(told, ['a ends', 'd goes', 'f goes']);
  entrance.close();
});

test('[A12] the bodies that were let in for one key leave room to those of others', () => {
  const { told, enter } = rig();
  const enterFor = (owner: string, bytes: number) => enter(owner, bytes, null, {}, owner);
  const ends = Array.from({ length: 24 }, () => enterFor('a', 16 * mib));
  told.splice(0);
  enterFor('a', 16 * mib);
  enterFor('b', 100 * mib);
  deepEqual(told.splice(0), ['a 429', 'b goes']);
  // What is over is for whoever has less.
  for (const end of ends.splice(0, 4)) end();
  told.splice(0);
  enterFor('a', 16 * mib);
  enterFor('b', 60 * mib);
  deepEqual(told, ['a 429', 'b goes']);
});

test('[A4] who leaves before its turn, or waits in vain, has paid nothing', async () => {
  const { clock, queue, charged, entrance, told, enter } = rig();
  queue.waiting = 100;
  enter('a', 1)();
  equal(charged.tokens, 0);
  const end = enter('b', 1);
  await clock.run(31_000);
  deepEqual(told, ['b 503']);
  end();
  equal(charged.tokens, 0);
  entrance.close();
});

test('who is let in is told with how long it waited, unless nobody serves what it asks for', async () => {
  const { clock, queue, entrance, enter, models, facts } = rig();
  enter('a', 1);
  queue.waiting = 100;
  enter('b', 1);
  enter('c', 1)();
  await clock.run(200);
  queue.waiting = 0;
  await clock.run(25);
  models.clear();
  enter('d', 1);
  const admitted = { fact: 'request.admitted', model: 'm' } as const;
  deepEqual(facts, [
    { ...admitted, waitedMs: 0 },
    { ...admitted, waitedMs: 225 },
  ]);
  entrance.close();
});

test('[A4] an answer is settled once, and the rest of one by what the client had not', () => {
  const { charged, enter, resume } = rig();
  enter('a', 1, 50)();
  equal(charged.tokens, 150);
  resume('b', 1, { found: true, spends: 40 })();
  equal(charged.tokens, 150);
  resume('b', 1, { found: true, spends: 100 })();
  equal(charged.tokens, 210);
  equal(charged.requests, 1);
});

test('[A4] asking for the rest of an answer that nobody has costs one request and no tokens, once', () => {
  const { charged, told, resume } = rig();
  const end = resume('a', 1);
  equal(charged.requests, 0);
  end();
  end();
  deepEqual(charged, { tokens: 0, requests: 1 });
  deepEqual(told, ['a goes', 'a ends']);
});

test('[A6] the bodies of what goes on elsewhere begun are bounded with all others', () => {
  const { told, enter, resume } = rig();
  const end = resume('a', 300 * mib, { found: true });
  enter('b', 300 * mib)();
  resume('c', 300 * mib)();
  deepEqual(told.splice(0), ['a goes', 'b 503', 'c 503 1']);
  end();
  end();
  enter('d', 300 * mib);
  resume('e', 300 * mib)();
  deepEqual(told, ['a ends', 'd goes', 'e 503 1']);
});

test('[A6] so many answers are looked for at once for one key, and no others wait for that', () => {
  const { charged, told, resume } = rig();
  const ends = Array.from({ length: 256 }, () => resume('a', 1));
  told.splice(0);
  resume('a', 1)();
  resume('b', 1);
  deepEqual(told.splice(0), ['a 429 1', 'b goes']);
  equal(charged.requests, 0);
  ends[0]!();
  resume('a', 1, { found: true });
  resume('a', 1, { found: true });
  deepEqual(told, ['a ends', 'a goes', 'a goes']);
});

test('[A4] who asks for several answers is expected to take as many, each as long as the last ones were', () => {
  const { charged, entrance, enter } = rig();
  const cost = (body: Json, spends: number | null = null): number => {
    const before = charged.tokens;
    enter('a', 1, spends, body)();
    return charged.tokens - before;
  };
  equal(cost({ n: 4 }), 100 + 4 * 256);
  equal(cost({ best_of: 3, n: 2, max_tokens: 10 }), 100 + 3 * 10);
  equal(cost({ prompt: ['a', 'b'], n: 2 }), 100 + 4 * 256);
  equal(cost({ prompt: [1, 2, 3] }), 100 + 256);
  for (const n of [-1, 0.5, '9', null]) equal(cost({ n }), 100 + 256);
  equal(cost({ n: 1e15 }), 100 + 1_024 * 256);
  // Four answers of 256 tokens are what is usual.
  equal(cost({ n: 4 }, 1_024), 100 + 1_024);
  equal(cost({}), 100 + 256);
  entrance.close();
});

test('[A4] who is refused in the end, or is told what is there already, has paid nothing, not for the prompt either', () => {
  const { charged, entrance, enter } = rig();
  enter('a', 1, 0)();
  equal(charged.tokens, 0);
  entrance.close();
});

test('[A4] a long answer is charged while it is made, and no token of it twice', () => {
  const { charged, entrance } = rig();
  let spent: Spent = () => {};
  entrance.enter(
    { key, owner: everyone, model: 'm', body: {}, headers: {}, bytes: 1, characters: 400, generates: true },
    { go: (take) => ((spent = take), () => {}), refuse: () => {} },
  );
  const costs = (tell: Spent, steps: readonly number[], end: number): readonly number[] => [
    ...steps.map((tokens) => (tell(tokens, { goesOn: true }), charged.tokens)),
    (tell(end), charged.tokens),
  ];
  deepEqual(costs(spent, [200, 256, 512, 768], 800), [356, 356, 612, 868, 900]);
  charged.tokens = 0;
  entrance.resume(
    { key, owner: everyone, bytes: 1, from: 100 },
    { go: (take, found) => (found(), (spent = take), () => {}), refuse: () => {} },
  );
  deepEqual(costs(spent, [50, 300, 600], 610), [0, 200, 500, 510]);
  entrance.close();
});

test('[A8] a priority that is no number is the usual one', async () => {
  const { clock, queue, entrance, told, enter } = rig();
  queue.waiting = 100;
  enter('odd', 1, null, { priority: { toString: 1, valueOf: 1 } });
  enter('usual', 1);
  enter('urgent', 1, null, { priority: '-1' });
  queue.waiting = 0;
  await clock.run(100);
  deepEqual(told, ['urgent goes', 'odd goes', 'usual goes']);
  entrance.close();
});
