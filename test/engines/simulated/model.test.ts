/** The model's promises: what follows is a function of what came before, and shows every mistake at once. */
import { deepEqual, equal, notEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import {
  candidatesAt,
  contextOf,
  expectedContinuation,
  likelihoods,
  tokenText,
} from '../../../src/engines/simulated/model.ts';
import { decode, encode, eosId, vocabularySize } from '../../../src/engines/simulated/vocabulary.ts';

const prompt = encode('<|im_start|>user\nTell me more.<|im_end|>\n<|im_start|>assistant\n', 8192);
const text = (ids: readonly number[]): string => decode(ids, { skipSpecial: true });

test('the same prompt has the same continuation, and a longer one begins with it', () => {
  const longer = expectedContinuation({ promptIds: prompt, count: 300 });
  deepEqual(expectedContinuation({ promptIds: prompt, count: 200 }), longer.slice(0, 200));
});

test('a continuation cut anywhere goes on as if it had not been cut, greedy and with a seed', () => {
  for (const seed of [null, 7]) {
    const whole = expectedContinuation({ promptIds: prompt, count: 300, seed, temperature: 0.8 });
    for (const cut of [1, 2, 17, 150, 299]) {
      const promptIds = [...prompt, ...whole.slice(0, cut)];
      const rest = expectedContinuation({ promptIds, count: 300 - cut, seed, temperature: 0.8 });
      deepEqual([...whole.slice(0, cut), ...rest], whole, `cut at ${cut}`);
    }
  }
});

test('a lost, a doubled or a foreign id changes most of what follows, beginning with the next few tokens', () => {
  const whole = expectedContinuation({ promptIds: prompt, count: 120 });
  const splices = {
    lost: (at: number) => [...whole.slice(0, at - 1)],
    doubled: (at: number) => [...whole.slice(0, at), whole[at - 1]!],
    foreign: (at: number) => [...whole.slice(0, at - 1), (whole[at - 1]! + 1) % vocabularySize],
  };
  for (const [mistake, splice] of Object.entries(splices)) {
    let first = 0;
    let agreeing = 0;
    for (let at = 10; at < 100; at++) {
      const wrong = expectedContinuation({ promptIds: [...prompt, ...splice(at)], count: 20 });
      const right = whole.slice(at, at + 20);
      first += wrong[0] === right[0] ? 1 : 0;
      agreeing += wrong.filter((id, i) => id === right[i]).length;
      notEqual(wrong.slice(0, 4).join(), right.slice(0, 4).join(), `${mistake} at ${at} shows`);
    }
    ok(first < 20, `${mistake}: the very next token hides it ${first} times of 90`);
    ok(agreeing < 0.1 * 90 * 20, `${mistake}: ${agreeing} of 1800 tokens agree`);
  }
});

test('seeds differ from one another and from greedy, and temperature 0 forgets the seed', () => {
  const ids = (seed: number | null, temperature: number): string =>
    expectedContinuation({ promptIds: prompt, count: 40, seed, temperature }).join();
  equal(new Set([ids(null, 1), ids(1, 1), ids(2, 1)]).size, 3);
  equal(ids(1, 0), ids(null, 1));
});

test('the text is whole UTF-8 of several scripts, whatever the prompt', () => {
  let beyondAscii = 0;
  for (let i = 0; i < 40; i++) {
    const promptIds = encode(`prompt number ${i}: `, 8192);
    const ids = expectedContinuation({ promptIds, count: 400 });
    const whole = ids.slice(
      0,
      ids.findLastIndex((id) => decode([id], { skipSpecial: false }) === ' '),
    );
    ok(!text(whole).includes('\uFFFD'), text(whole));
    beyondAscii += [...text(whole)].filter((character) => character.codePointAt(0)! > 0x7f).length;
  }
  ok(beyondAscii > 200, `${beyondAscii} characters beyond ASCII in 16,000 tokens`);
});

test('an answer below 512 tokens does not end by itself, and a long one does soon', () => {
  const ends = Array.from({ length: 30 }, (_, i) =>
    expectedContinuation({ promptIds: encode(`story ${i}`, 8192), count: 1500 }).indexOf(eosId),
  );
  ok(
    ends.every((end) => end > 490 && end < 1400),
    ends.join(),
  );
});

test('every place offers at least ten candidates', () => {
  const ids = [...prompt, ...expectedContinuation({ promptIds: prompt, count: 1000 })];
  for (let at = 0; at < ids.length; at++) {
    const { length } = candidatesAt(contextOf(ids.slice(Math.max(0, at - 6), at)));
    ok(length >= 10, `${length} after ${text(ids.slice(Math.max(0, at - 6), at))}`);
  }
});

test('likelihoods are a distribution: the greedy token leads, and shares add up to less than one', () => {
  const context = contextOf(prompt);
  const [next] = expectedContinuation({ promptIds: prompt, count: 1 });
  const { chosen, best } = likelihoods(context, next!, 5);
  equal(chosen.rank, 1);
  deepEqual(best[0], chosen);
  ok(best.every((one, i) => i === 0 || one.logprob <= best[i - 1]!.logprob));
  ok(best.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0) < 1);
  ok(likelihoods(context, eosId, 0).chosen.logprob < -20, 'a token out of place is unlikely');
});

test('a text comes back from its ids, special tokens and all', () => {
  const original = '<|im_start|>user\nhi the é 世界 🐈 \u0000 ﬁ<|im_end|>';
  const ids = encode(original, 8192);
  equal(decode(ids, { skipSpecial: false }), original);
  ok(ids.every((id) => id >= 0 && id < vocabularySize));
  equal(encode('x'.repeat(1000), 10).length, 11);
});

test('the text of a token that completes a character is the character, before that nothing', () => {
  const ids = encode('é世🐈', 8192);
  const texts = ids.map((id, i) => tokenText(id, ids.slice(0, i)));
  equal(texts.join(''), 'é世🐈');
  equal(texts.filter((one) => one === '').length, ids.length - 3);
});
