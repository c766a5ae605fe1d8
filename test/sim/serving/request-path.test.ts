/** That the simulator's request path keeps its promises, and that each of them is noticed when it is broken. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Violation } from '../checks.ts';
import { run, type RunOptions } from '../run.ts';
import type { Sabotage } from '../sabotage.ts';
import type { FaultKind } from '../schedule.ts';

const plain: RunOptions = {
  ...{ seed: 1, nodes: 7, minutes: 1.2, kinds: [], only: null, sabotage: null, streams: 60, watch: null },
};

test('where nothing happens nothing is moved, refused or lost, and every answer is whole', async () => {
  const { violations, streams } = await run(plain);
  deepEqual(violations, []);
  const { answered, left, ...rest } = streams;
  equal(answered + left, 60);
  deepEqual(rest, { failed: 0, refused: 0, 'turned-away': 0, lost: 0, moved: 0, stallMs: [] });
});

test('under every fault of engines answers move, and all of them are whole', async () => {
  const kinds: FaultKind[] = ['engine-kill', 'engine-stop', 'engine-wedge', 'engine-break'];
  const { violations, streams } = await run({ ...plain, nodes: 12, kinds, streams: 120 });
  deepEqual(violations, []);
  ok(streams.moved > 0, 'nothing was hit');
});

/** Each with faults by which it shows; not every seed draws them. */
const broken: readonly {
  readonly sabotage: Sabotage;
  readonly promise: string;
  readonly kinds: readonly FaultKind[];
}[] = [
  { sabotage: 'token-twice', promise: 'R1', kinds: [] },
  { sabotage: 'one-engine', promise: 'R2', kinds: ['engine-kill', 'engine-break'] },
  { sabotage: 'frail-engines', promise: 'R4', kinds: [] },
  { sabotage: 'blind-routing', promise: 'R5', kinds: ['leave', 'terminate'] },
  { sabotage: 'deaf-to-drains', promise: 'R6', kinds: ['leave'] },
  { sabotage: 'leaky', promise: 'R7', kinds: [] },
];
const seedsMax = 12;

for (const { sabotage, promise, kinds } of broken) {
  test(`[${promise}] is broken by ${sabotage}`, async () => {
    const found = await firstBroken({ ...plain, kinds, sabotage, streams: 120 });
    equal(found?.invariant, promise, found?.what);
  });
}

async function firstBroken(options: RunOptions): Promise<Violation | undefined> {
  for (let seed = 1; seed <= seedsMax; seed++) {
    const { violations } = await run({ ...options, seed });
    if (violations.length > 0) return violations[0];
  }
  return undefined;
}

for (const seed of [201, 202, 203]) {
  test(`seed ${seed} breaks no promise`, async () => {
    const { violations } = await run({ ...plain, seed, minutes: 2, kinds: null, streams: null });
    deepEqual(violations, []);
  });
}
