/** That the simulator finds what it is there to find; and seeds that once found something, or stand for the others. */
import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { isCutOff } from './observers.ts';
import { pinnedSeeds } from './pinned-seeds.ts';
import { run, type RunOptions } from './run.ts';
import type { Sabotage } from './sabotage.ts';
import { replayOf, trySeed } from './seeds.ts';
import { shrink } from './shrink.ts';

const plain: RunOptions = {
  ...{ seed: 1, nodes: 6, minutes: 1, kinds: null, only: null, sabotage: null, streams: 0, watch: null },
};

test('a seed gives one digest, another seed another one', async () => {
  const [first, again, other] = [await run(plain), await run(plain), await run({ ...plain, seed: 2 })];
  equal(first.digest, again.digest);
  notEqual(first.digest, other.digest);
});

test('a die that is not seeded shows in the digest', async () => {
  const report = await trySeed({ ...plain, sabotage: 'dice' }, { twice: true, shrinks: false });
  equal(report.digestsEqual, false);
  match(report.complaint ?? '', /two runs differ \(I10\)\n {2}replay: npm run sim -- --seed 1 .* --twice$/);
});

test('members whose kernel answers, but that count as refused, break I1, and the schedule shrinks to what cut them off', async () => {
  const options: RunOptions = {
    ...plain,
    ...{ seed: 4, nodes: 8, minutes: 1.5, kinds: ['pause', 'revise', 'sever'], sabotage: 'slow-is-refused' },
  };
  const { outcome, complaint } = await trySeed(options, { twice: false, shrinks: true });
  equal(outcome.violations[0]?.invariant, 'I1');
  const faults = complaint?.match(/fault \d+: \S+/g) ?? [];
  ok(faults.length > 0 && faults.length <= 2, complaint ?? 'nothing broken');
  ok(faults.every((fault) => /pause|sever/.test(fault)));
  ok(complaint?.includes(`npm run sim -- --seed 4 --nodes 8`));
});

test('a cluster that hears nothing never agrees, which breaks I2', async () => {
  const { violations } = await run({ ...plain, kinds: ['revise', 'kill'], sabotage: 'mute' });
  equal(violations[0]?.invariant, 'I2');
});

test('who was isolated and is held dead for long after that breaks I1', async () => {
  const options = { ...plain, seed: 1, minutes: 2, kinds: ['isolate'], only: [0] } as const;
  const { violations } = await run({ ...options, sabotage: 'unmended' });
  equal(violations[0]?.invariant, 'I1');
  match(violations[0].what, /has held \S+ dead for 4\d{4} ms, which lives/);
});

test('a death is excused by as many observers cut off as make one: all of three, more than half of more', () => {
  for (const [of, least] of [
    [1, 1],
    [2, 2],
    [3, 3],
    [4, 3],
    [5, 3],
    [6, 4],
    [7, 4],
  ] as const) {
    equal(isCutOff({ kept: least, of }, 0), true);
    equal(isCutOff({ kept: least - 1, of }, 0), false);
    if (least > 1) equal(isCutOff({ kept: least - 1, of }, 1), true);
  }
  equal(isCutOff({ kept: 0, of: 1 }, 1), false);
});

for (const sabotage of ['private-stores', 'storeless'] as const)
  test(`I5 is broken by ${sabotage}`, async () => {
    const { violations } = await run({ ...plain, kinds: [], sabotage });
    equal(violations[0]?.invariant, 'I5');
  });

test('[I8] thirty nodes at peace for minutes send 4 kB a second each at most', async () => {
  const { violations } = await run({ ...plain, nodes: 30, minutes: 2.5, kinds: [] });
  deepEqual(violations, []);
});

test('[M4] of 32 all know of a killed process within 100 ms, and of a dark host within a second', async () => {
  const deaths = { kill: 0, hostOff: 0 };
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    const options = { ...plain, seed, nodes: 32, minutes: 2, kinds: ['kill', 'power'] } as const;
    const { violations, kill, hostOff } = await run(options);
    deepEqual(violations, []);
    ok((kill?.max ?? 0) <= 100 && (hostOff?.max ?? 0) <= 1_000, `${kill?.max} ms, ${hostOff?.max} ms`);
    deaths.kill += kill?.count ?? 0;
    deaths.hostOff += hostOff?.count ?? 0;
  }
  ok(deaths.kill > 20 && deaths.hostOff > 1, JSON.stringify(deaths));
});

test('nodes that say everything ten times break I8', async () => {
  const { violations } = await run({ ...plain, kinds: [], sabotage: 'chatty' });
  equal(violations[0]?.invariant, 'I8');
});

const restless: readonly (readonly [sabotage: Sabotage, says: RegExp])[] = [
  ['shut-out', /is no member yet/],
  ['relapse', /views were unequal until 3\d{4} ms/],
];
for (const [sabotage, says] of restless)
  test(`I2 is broken by ${sabotage}`, async () => {
    const { violations } = await run({ ...plain, kinds: ['grow'], only: [0], sabotage });
    equal(violations[0]?.invariant, 'I2');
    match(violations[0].what, says);
  });

test('two faults that break something together are found among many', async () => {
  const all = Array.from({ length: 30 }, (_, i) => i);
  const fails = (kept: readonly number[]): Promise<boolean> =>
    Promise.resolve(kept.includes(3) && kept.includes(17));
  deepEqual(await shrink(all, fails), [3, 17]);
});

test('a replay command says everything that the run depends on', () => {
  const options: RunOptions = { ...plain, seed: 7, nodes: null, minutes: 2, kinds: ['kill', 'loss'] };
  equal(
    replayOf(options, [2, 5]),
    'npm run sim -- --seed 7 --minutes 2 --faults kill,loss --streams 0 --only 2,5',
  );
});

for (const { seed, nodes, only, found } of pinnedSeeds) {
  test(`seed ${seed}: ${found}`, async () => {
    const { violations } = await run({ ...plain, seed, nodes, minutes: 2, only });
    deepEqual(violations, []);
  });
}

for (const seed of [101, 102, 103]) {
  test(`seed ${seed} breaks no promise`, async () => {
    const { violations } = await run({ ...plain, seed, nodes: 5 + (seed % 5), minutes: 2 });
    deepEqual(violations, []);
  });
}
