/** One batch, step by step, without a clock: who runs, who waits, how a sequence ends, what a request may steer. */
import { deepEqual, equal, notDeepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { expectedContinuation } from '../../../src/engines/simulated/model.ts';
import { Scheduler, type Pace, type SequenceOrder } from '../../../src/engines/simulated/scheduler.ts';
import { encode, eosId } from '../../../src/engines/simulated/vocabulary.ts';

const pace: Pace = { ttftMs: 0, prefillUsPerToken: 0, runningMax: 4, source: 'position' };
const promptIds = encode('once upon a time', 8192);
const order: SequenceOrder = {
  id: 1,
  promptIds,
  maxTokens: 20,
  minTokens: 0,
  ignoreEos: false,
  stopTokenIds: [],
  seed: null,
  topK: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
  allowed: null,
  forced: null,
  taught: [],
};

type Outcome = { readonly ids: readonly number[]; readonly end: unknown };

/** Runs one order to its end. */
function run(more: Partial<SequenceOrder>, settings: Partial<Pace> = {}): Outcome {
  const scheduler = new Scheduler({ ...pace, ...settings });
  scheduler.add({ ...order, ...more });
  const ids: number[] = [];
  for (let now = 0; ; now += 20) {
    const { tokens, finished } = scheduler.step(now);
    ids.push(...tokens.filter((_, i) => i % 2 === 1));
    if (finished.length > 0) return { ids, end: finished[0]!.slice(1) };
  }
}

const continued = (
  ids: readonly number[],
  more: Partial<SequenceOrder> = {},
  settings: Partial<Pace> = {},
): Outcome => run({ ...more, promptIds: [...promptIds, ...ids], maxTokens: 20 - ids.length }, settings);

test('what it computes is what the model expects, one token a step, ended by max_tokens', () => {
  deepEqual(run({}), { ids: expectedContinuation({ promptIds, count: 20 }), end: ['length', null] });
  deepEqual(run({ seed: 5 }).ids, expectedContinuation({ promptIds, count: 20, seed: 5 }));
});

test('more sequences than fit wait, and start as others end', () => {
  const scheduler = new Scheduler({ ...pace, runningMax: 2 });
  for (const id of [1, 2, 3]) scheduler.add({ ...order, id, maxTokens: 2 });
  const loads = [0, 20, 40, 60].map((now) => {
    const { load } = scheduler.step(now);
    return [load.running, load.waiting];
  });
  deepEqual(loads, [
    [2, 1],
    [0, 1],
    [1, 0],
    [0, 0],
  ]);
});

test('the first token waits for the prompt to be read, and a prompt read before costs less', () => {
  const long = Array.from({ length: 400 }, (_, i) => 3 + (i % 250));
  const scheduler = new Scheduler({ ...pace, ttftMs: 30, prefillUsPerToken: 1000 });
  const firstTokenAt = (id: number, from: number): number => {
    scheduler.add({ ...order, id, promptIds: long, maxTokens: 1 });
    for (let now = from; ; now += 10) if (scheduler.step(now).tokens.length > 0) return now - from;
  };
  equal(firstTokenAt(1, 0), 430);
  equal(firstTokenAt(2, 1000), 50, '384 of 400 tokens are cached');
});

test('the end of the turn ends a sequence, unless it is to be ignored', () => {
  const logitBias = [[eosId, 100]] as const;
  deepEqual(run({ logitBias }), { ids: [eosId], end: ['stop', null] });
  deepEqual(run({ logitBias, ignoreEos: true, maxTokens: 3 }), {
    ids: [eosId, eosId, eosId],
    end: ['length', null],
  });
});

test('min_tokens forbids the end and the stop tokens for so long', () => {
  const { ids, end } = run({ logitBias: [[eosId, 100]], minTokens: 4 });
  equal(ids.length, 5);
  deepEqual([ids[4], end], [eosId, ['stop', null]]);
});

test('a stop token ends a sequence and is named', () => {
  const third = run({}).ids[2]!;
  deepEqual(run({ stopTokenIds: [third] }), { ids: run({}).ids.slice(0, 3), end: ['stop', third] });
});

test('only allowed tokens come, and a forbidden one does not', () => {
  const allowed = [10, 20, 30];
  equal(
    run({ allowed }).ids.every((id) => allowed.includes(id)),
    true,
  );
  const first = run({}).ids[0]!;
  notDeepEqual(run({ logitBias: [[first, -100]] }).ids[0], first);
});

test('a grammar forces its tokens, then the end of the turn, and starts again in a continuation', () => {
  const forced = encode('世 é', 99);
  deepEqual(run({ forced }), { ids: [...forced, eosId], end: ['stop', null] });
  deepEqual(continued(forced.slice(0, 2), { forced }).ids, [...forced, eosId]);
});

test('penalties count the output alone: a continuation by ids differs, and logit_bias mends the frequency one', () => {
  for (const penalty of [{ presencePenalty: 1 }, { frequencyPenalty: 0.5 }]) {
    const whole = run({ ...penalty, allowed: encode('abcdefgh', 99) }).ids;
    notDeepEqual(whole, run({ allowed: encode('abcdefgh', 99) }).ids);
    const half = whole.slice(0, 10);
    notDeepEqual([...half, ...continued(half, { ...penalty, allowed: encode('abcdefgh', 99) }).ids], whole);
  }
  const frequencyPenalty = 0.5;
  const whole = run({ frequencyPenalty }).ids;
  const half = whole.slice(0, 10);
  const counts = new Map(half.map((id) => [id, half.filter((other) => other === id).length]));
  const logitBias = [...counts].map(([id, count]) => [id, -0.5 * count] as const);
  deepEqual([...half, ...continued(half, { frequencyPenalty, logitBias }).ids], whole);
});

test('with a sequential generator a seeded continuation differs, a replay does not', () => {
  const source = 'sequential';
  const whole = run({ seed: 3 }, { source }).ids;
  deepEqual(run({ seed: 3 }, { source }).ids, whole);
  notDeepEqual(continued(whole.slice(0, 8), { seed: 3 }, { source }).ids, whole.slice(8));
  deepEqual(continued(whole.slice(0, 8), { seed: 3 }).ids.length, 12);
});

test('aborted sequences are gone at once, and abortAll says so of each', () => {
  const scheduler = new Scheduler(pace);
  for (const id of [1, 2, 3]) scheduler.add({ ...order, id });
  scheduler.step(0);
  scheduler.abort(new Set([2]));
  deepEqual(scheduler.abortAll().finished, [
    [1, 'abort', null],
    [3, 'abort', null],
  ]);
  equal(scheduler.isIdle, true);
});
