import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import type { Accounts } from '../../src/gateway/accounts.ts';
import { openEntrance } from '../../src/gateway/entrance.ts';
import type { ApiKey } from '../../src/node/api-key.ts';
import type { Spent } from '../../src/node/spent.ts';
import { noAbility } from '../../src/std/ability.ts';
import type { Json } from '../../src/std/json.ts';
import { memberId } from '../../src/std/member-id.ts';
import { VirtualClock } from '../node/world.ts';

const mib = 1_024 ** 2;
const key: ApiKey = { name: 'a', sha256: '', limits: { requestsPerMinute: null, tokensPerMinute: 1 } };

/** One member, whose queue is as long as the test says, and an account that only adds up. */
function rig() {
  const clock = new VirtualClock();
  const queue = { waiting: 0 };
  const charged = { tokens: 0 };
  const accounts: Accounts = {
    admit: (_, tokens) => ((charged.tokens += tokens), { type: 'admitted', at: clock.now() }),
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
    doubted: false,
  });
  const model = (id: string) => ({
    ...{ id, ready: [member()], starting: 0, contextTokens: null, ability: noAbility },
  });
  const entrance = openEntrance({ accounts, serving: { model, report: () => {} }, clock });
  const told: string[] = [];
  const enter = (name: string, bytes: number, spends: number | null = null, body: Json = {}): (() => void) =>
    entrance.enter(
      { key, model: 'm', body, headers: {}, bytes, characters: 400, generates: true },
      {
        go: (spent) => {
          told.push(`${name} goes`);
          if (spends !== null) spent(spends);
          return () => told.push(`${name} ends`);
        },
        refuse: ({ status }) => told.push(`${name} ${status}`),
      },
    );
  return { clock, queue, charged, entrance, told, enter };
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

test('[A4] an answer is settled once, and the rest of one by what the client had not', () => {
  const { charged, entrance, enter } = rig();
  enter('a', 1, 50)();
  equal(charged.tokens, 150);
  const spent = entrance.rest(key, 40);
  spent(40);
  equal(charged.tokens, 150);
  spent(100);
  equal(charged.tokens, 210);
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
    { key, model: 'm', body: {}, headers: {}, bytes: 1, characters: 400, generates: true },
    { go: (take) => ((spent = take), () => {}), refuse: () => {} },
  );
  const costs = (tell: Spent, steps: readonly number[], end: number): readonly number[] => [
    ...steps.map((tokens) => (tell(tokens, { goesOn: true }), charged.tokens)),
    (tell(end), charged.tokens),
  ];
  deepEqual(costs(spent, [200, 256, 512, 768], 800), [356, 356, 612, 868, 900]);
  charged.tokens = 0;
  deepEqual(costs(entrance.rest(key, 100), [50, 300, 600], 610), [0, 200, 500, 510]);
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
