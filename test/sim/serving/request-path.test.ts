/** That the simulator's request path keeps its promises, and that each of them is noticed when it is broken. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
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
  const none = { failed: 0, refused: 0, 'turned-away': 0, lost: 0, moved: 0, resumed: 0, stranded: 0 };
  deepEqual(rest, { ...none, stallMs: [] });
});

test('under every fault of engines answers move, and all of them are whole', async () => {
  const kinds: FaultKind[] = ['engine-kill', 'engine-stop', 'engine-wedge', 'engine-break'];
  const { violations, streams } = await run({ ...plain, nodes: 12, kinds, streams: 120 });
  deepEqual(violations, []);
  ok(streams.moved > 0, 'nothing was hit');
});

test('under every fault of entry nodes clients go on elsewhere, and all of their answers are whole', async () => {
  const kinds: FaultKind[] = ['entry-kill', 'entry-stop', 'entry-cut', 'engine-kill'];
  const { violations, streams } = await run({ ...plain, seed: 3, nodes: 12, kinds, streams: 120 });
  deepEqual(violations, []);
  ok(streams.resumed > 0, 'nobody had to go on elsewhere');
  equal(streams.stranded, 0);
});

test('five minutes after the last word of the last stream no node has anything of any of them', async () => {
  const kinds: FaultKind[] = ['entry-kill', 'pair-kill', 'kill', 'isolate'];
  const { violations, simulatedMs } = await run({
    ...plain,
    seed: 4,
    nodes: 6,
    minutes: 2,
    kinds,
    streams: 60,
  });
  deepEqual(violations, []);
  ok(simulatedMs > 400_000, 'no seed of a long peace');
});

/** Each with faults by which it shows; not every seed draws them. */
const broken: readonly {
  readonly sabotage: Sabotage;
  readonly promise: string;
  readonly kinds: readonly FaultKind[];
}[] = [
  { sabotage: 'token-twice', promise: 'R1', kinds: [] },
  { sabotage: 'one-engine', promise: 'R2', kinds: ['engine-kill', 'engine-break'] },
  { sabotage: 'hasty', promise: 'R2', kinds: ['leave'] },
  { sabotage: 'wordless', promise: 'R2', kinds: ['leave'] },
  { sabotage: 'frail-engines', promise: 'R4', kinds: [] },
  { sabotage: 'blind-routing', promise: 'R5', kinds: ['leave', 'terminate'] },
  { sabotage: 'deaf-to-drains', promise: 'R6', kinds: ['leave'] },
  { sabotage: 'leaky', promise: 'R7', kinds: [] },
  { sabotage: 'begins-again', promise: 'R1', kinds: ['entry-kill'] },
  { sabotage: 'forgetful', promise: 'R9', kinds: ['entry-kill'] },
  { sabotage: 'tongue-tied', promise: 'R9', kinds: ['entry-kill'] },
  { sabotage: 'secretive', promise: 'R10', kinds: [] },
  { sabotage: 'hoarder', promise: 'R11', kinds: [] },
];
const seedsMax = 12;

for (const { sabotage, promise, kinds } of broken) {
  test(`[${promise}] is broken by ${sabotage}`, async () => {
    ok(await isBroken(promise, { ...plain, kinds, sabotage, streams: 120 }));
  });
}

/** Another one may be broken first, and a run ends there. */
async function isBroken(promise: string, options: RunOptions): Promise<boolean> {
  for (let seed = 1; seed <= seedsMax; seed++) {
    const { violations } = await run({ ...options, seed });
    if (violations[0]?.invariant === promise) return true;
  }
  return false;
}

/** Each with what it found. */
const pinned: readonly (readonly [seed: number, found: string])[] = [
  [103, 'an engine whose prompt ends inside a character found the stop string in its echo of the prompt'],
  [71, 'a request that is answered once waited for ever for a node that had been started again'],
  [
    17,
    'what went out though no copy took it in time was made again in other pieces, which is no broken promise',
  ],
  [282, 'fifty nodes that lived a hundred lives were held to what only EC2 can end, as a hundred nodes are'],
  [
    347,
    'a connection that was kept while its member lost power and came back counted as a loss of that member',
  ],
  [
    40,
    'of four packets in a hundred that were lost two were the same, and the silence was called a false alarm',
  ],
  [91, 'the only copy that went as far as its client was at a node that stood still when it was looked for'],
  [100, 'a client came back to a node that had cut the same tokens into other pieces, and was sent away'],
  [
    1106,
    'a node that was killed while it was cut off was waited for in silence, by a connection that it had forgotten',
  ],
  [1771, 'a node that had been started again while EC2 was out was held to ask one that nobody had shown it'],
  [852, 'a connection stood still for long after losses, and who was well behind it was suspect for as long'],
  [1632, 'so was one of whom the two who tell of a slow one heard every beat'],
  [
    1536,
    'an instance with a new key that nobody but EC2 could tell was held dead for as long as EC2 was out',
  ],
  [1686, 'the last copy of a log whose entry node had been started again went with a node that drained'],
  [636, 'what a client had was made again by an engine that was not told where it ends, in other pieces'],
  [190, 'the end of an answer that had been said into a cut was taken along by its node, which left well'],
  [
    1922,
    'a client in a hurry gave up one node after another that still made again what it had, on slow engines',
  ],
  [391, 'a client that went on where the end had come with the last tokens heard of the end twice'],
];
for (const [seed, found] of pinned) {
  test(`seed ${seed}: ${found}`, async () => {
    const { violations } = await run({
      ...plain,
      ...{ seed, nodes: null, minutes: 2, kinds: null, streams: null },
    });
    deepEqual(violations, []);
  });
}

for (const seed of [201, 202, 203]) {
  test(`seed ${seed} breaks no promise`, async () => {
    const { violations } = await run({ ...plain, seed, minutes: 2, kinds: null, streams: null });
    deepEqual(violations, []);
  });
}
