/** Several choices of one answer: each is lost and goes on by itself, and the client hears one answer. */
import { deepEqual, equal, notEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { noAbility, type Ability } from '../../src/std/ability.ts';
import { ByteWriter } from '../../src/std/bytes.ts';
import { instant } from '../../src/std/time.ts';
import { isRepeatable } from '../../src/stream/carrier.ts';
import type { LegRequest } from '../../src/stream/continuation.ts';
import { restoredAnswer } from '../../src/stream/machine.ts';
import { eventId } from '../../src/stream/mark.ts';
import { protectionOf } from '../../src/stream/protection.ts';
import { openingBytes, readLog, recordBytes, tokensIn, type Written } from '../../src/stream/record.ts';
import type { ApartRequest, Engines } from '../../src/stream/request.ts';
import { parted, reading, sing, type Singer, type Sung } from './chorus.ts';
import { byteIds, eosId, respond, wordId } from './scripted-engine.ts';

const promptIds = byteIds('Say hello');
const answers = [
  [...['One', ' says', ' this'].map(wordId), ...byteIds(' 世'), wordId(' and ends'), eosId],
  [...['Two', ' says', ' more', ' of', ' it', ', as', ' one', ' does'].map(wordId), eosId],
  [...['Three', ' is', ' short'].map(wordId), eosId],
];
const singer: Singer = (request, choice) =>
  respond({ promptIds, answer: answers[choice]!, id: `engine-of-${choice}` }, request);

const messages = [{ role: 'user', content: 'hi' }];
const asked = { model: 'tiny', messages, stream: true, n: 3, return_token_ids: true };
const withUsage = { ...asked, stream_options: { include_usage: true } };

function apart(endpoint: 'chat' | 'completions', body: Record<string, unknown>, engines?: Partial<Engines>) {
  const request = reading(endpoint, body, engines);
  ok(request.way === 'apart');
  return request;
}
const fact = ({ facts }: Sung, name: string) => facts.filter((one) => one.fact === name);
const bodiesOf = ({ parts }: ApartRequest) => parts.map(({ body }) => body);

test('[S20] what several choices say is one answer: one id, a role and an end each, one usage, one [DONE]', () => {
  const request = apart('chat', withUsage);
  const sung = sing(request, singer);
  const { choices, ...rest } = parted(sung.sent);
  deepEqual(
    choices.map(({ ids }) => ids),
    answers,
  );
  deepEqual(
    choices.map(({ finish, roles }) => [finish, roles]),
    [0, 1, 2].map(() => [['stop'], 1]),
  );
  const completion = answers.flat().length;
  const prompt = promptIds.length;
  deepEqual(rest, {
    ...{ heads: 1, errors: 0, done: 1, endsDone: true },
    usage: [{ prompt_tokens: prompt, total_tokens: prompt + completion, completion_tokens: completion }],
  });
  const [ended] = fact(sung, 'stream.finished');
  ok(sung.closed && ended !== undefined && 'tokens' in ended && ended.tokens === completion);
  equal(fact(sung, 'stream.finished').length, 1);
  equal(sung.left, 0);
  // By which another entry node knows whether it has as much as the client.
  deepEqual([sung.said.at(-1)?.mark.tokens, tokensIn(sung)], [completion, completion]);
});

test('[S20] wherever its choices are cut, in whatever order they speak, the client hears what it would have heard', () => {
  for (const [endpoint, body] of [
    ['chat', withUsage],
    ['chat', { ...asked, return_token_ids: false }],
    ['completions', { ...withUsage, messages: undefined, prompt: 'Say hello', max_tokens: 50 }],
  ] as const) {
    const request = apart(endpoint, body);
    const wanted = parted(sing(request, singer).sent);
    for (let seed = 1; seed <= 150; seed++) {
      const breaks = [0, 1, 2, 1].map((choice, i) => ({
        ...{ choice, after: (seed * (i + 3)) % 9 },
        by: seed % 2 === 0 ? ('eof' as const) : ('error' as const),
      }));
      const sung = sing(request, singer, { seed, breaks });
      deepEqual(parted(sung.sent), wanted, `seed ${seed}`);
      equal(new Set(sung.said.map(({ mark }) => eventId('s', mark))).size, sung.said.length, `seed ${seed}`);
    }
  }
});

test('[S20] choice i draws by the seed and i, and what is drawn freely by a seed of ours each, or by none', () => {
  const keyed: Ability = {
    scaleOut: true,
    keyedByPosition: true,
    repeatable: true,
    neutralPenalties: true,
    showsSpecials: false,
  };
  const seedsOf = (body: object, ability: Ability) =>
    bodiesOf(apart('chat', { ...asked, ...body }, { ability, seed: 2 ** 31 - 2 })).map(({ seed }) => seed);
  deepEqual(seedsOf({ seed: 7 }, keyed), [7, 8, 9]);
  deepEqual(seedsOf({}, keyed), [2 ** 31 - 2, 2 ** 31 - 1, 0]);
  deepEqual(seedsOf({}, noAbility), [undefined, undefined, undefined]);
  for (const { n } of bodiesOf(apart('chat', asked))) equal(n, undefined);
  const legs = sing(apart('chat', { ...asked, seed: 7 }, { ability: keyed }), singer, {
    breaks: [{ choice: 2, after: 3, by: 'eof' }],
  }).asked;
  deepEqual(
    legs.map(({ choice, request }) => [choice, (JSON.parse(request.body) as { seed: number }).seed]),
    [...[0, 1, 2].map((choice) => [choice, 7 + choice]), [2, 9]],
  );
});

test('[S20] what a single choice would not go on from its ids with is asked of one engine together', () => {
  const alone = (body: object, endpoint: 'chat' | 'completions' = 'chat') =>
    reading(endpoint, { ...asked, ...body }).way;
  for (const body of [
    ...[{ n: 0 }, { n: 1 }, { n: 17 }, { n: '3' }, { best_of: 3 }, { use_beam_search: true }],
    ...[{ temperature: 0 }, { seed: -1 }, { seed: 3 }, { logprobs: true }, { presence_penalty: 1 }],
    ...[{ response_format: { type: 'json_object' } }, { stop: [''] }],
  ])
    notEqual(alone(body), 'apart', JSON.stringify(body));
  for (const body of [{ prompt: ['a', 'b'] }, { prompt: 'a', echo: true }, { prompt: 'a', logprobs: 1 }])
    notEqual(alone(body, 'completions'), 'apart', JSON.stringify(body));
  for (const body of [{}, { temperature: 0.7 }, { n: 16 }, { stop: 'x' }, { stream: false }])
    equal(alone(body), 'apart', JSON.stringify(body));
  // Many copies of a long body are none that an entry node keeps.
  equal(alone({ messages: [{ role: 'user', content: 'x'.repeat(3 * 1_024 ** 2) }] }), 'whole');
});

test('[S20] which choice went on elsewhere is told', () => {
  const breaks = [2, 0].map((choice) => ({ choice, after: 3, by: 'eof' as const }));
  const moves = fact(sing(apart('chat', asked), singer, { breaks }), 'stream.moved');
  deepEqual(moves.map((one) => 'choice' in one && one.choice).toSorted(), [0, 2]);
});

test('[S17] an answer is promised what the weakest of its choices is', () => {
  const request = apart('chat', asked);
  equal(protectionOf(request, { ...noAbility, scaleOut: true }), 'exact');
  equal(protectionOf(request, noAbility), 'best-effort');
  equal(isRepeatable(request, { ...noAbility, keyedByPosition: true }), false);
});

test('[S20] an answer that is no stream is told in one piece', () => {
  const sung = sing(apart('chat', { ...asked, stream: false }), singer, {
    breaks: [{ choice: 1, after: 4, by: 'eof' }],
  });
  equal(sung.answer?.status, 200);
  const { choices, usage } = JSON.parse(sung.answer.body) as {
    choices: { index: number; message: { content: string }; token_ids: number[] }[];
    usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
  };
  deepEqual(
    choices.map(({ index, message, token_ids }) => [index, message.content, token_ids]),
    [
      [0, 'One says this 世 and ends', answers[0]],
      [1, 'Two says more of it, as one does', answers[1]],
      [2, 'Three is short', answers[2]],
    ],
  );
  const completion = answers.flat().length;
  deepEqual([usage.prompt_tokens, usage.completion_tokens], [promptIds.length, completion]);
  equal(usage.total_tokens, promptIds.length + completion);
  deepEqual([sung.sent.length, fact(sung, 'stream.finished').length], [0, 1]);
});

test('[S20] a choice that cannot go on ends the answer by an error event, once, and lets go of the others', () => {
  const breaks = [1, 1, 1].map((choice) => ({ choice, after: 1, by: 'error' as const }));
  const sung = sing(apart('chat', asked), singer, { breaks, seed: 5 });
  const { errors, done, endsDone } = parted(sung.sent);
  ok(sung.said.length > 0, 'others had spoken');
  deepEqual(
    { errors, done, endsDone, closed: sung.closed },
    { errors: 1, done: 1, endsDone: true, closed: true },
  );
  deepEqual([fact(sung, 'stream.failed').length, fact(sung, 'stream.finished').length], [1, 0]);
  equal(sung.left, 0);
});

test("[S20] an engine's refusal is told as it is while nothing is out", () => {
  const breaks = [0, 1, 2].map((choice) => ({ choice, after: 0, by: 400 as const }));
  const sung = sing(apart('chat', asked), singer, { breaks });
  deepEqual(sung.answer, { status: 400, body: '{"error":{"message":"no"}}' });
  deepEqual([sung.sent.length, sung.left], [0, 0]);
});

test('[S20] wherever its log ends, another entry node tells the rest as it would have been', () => {
  const request = apart('chat', withUsage);
  const elsewhere: Singer = (leg: LegRequest, choice) =>
    respond({ promptIds, answer: answers[choice]!, id: 'elsewhere' }, leg);
  for (let seed = 1; seed <= 6; seed++) {
    const undisturbed = sing(request, singer, { seed });
    for (let end = 0; end <= undisturbed.records.length; end++) {
      const records = readBack(undisturbed.records.slice(0, end));
      const { state, events } = restoredAnswer(request, records, instant(0))!;
      const known = undisturbed.said.filter(
        (one) => one.records <= end && one.mark.tokens <= tokensIn({ records }),
      );
      const before = known.map(({ data, mark }) => ({ data, mark })).slice(0, events.length);
      deepEqual(events.slice(0, before.length), before, 'the same events, at the same places');
      const rest = sing(request, elsewhere, { seed: seed + 1, from: state });
      const { heads, ...all } = parted([...events.map(({ data }) => data), ...rest.sent]);
      const { heads: _, ...wanted } = parted(undisturbed.sent);
      equal(heads, 1);
      deepEqual(all, wanted, `after ${end} records`);
    }
  }
});

test('[S20] a choice that turns to reasoning is told again beside one that does not', () => {
  const request = apart('chat', asked, { ability: { ...noAbility, scaleOut: true } });
  const thinking: Singer = (leg, choice) =>
    singer(leg, choice).map((data) =>
      choice === 1 ? data.replace(/"content":"(?=[^"])/, '"reasoning":"') : data,
    );
  const sung = sing(request, thinking, { seed: 3 });
  ok(sung.sent.join().includes('"reasoning":" says"'));
  for (let end = 0; end <= sung.records.length; end++) {
    const again = restoredAnswer(request, readBack(sung.records.slice(0, end)), instant(0));
    const known = sung.said.filter((one) => one.records <= end && !one.data.startsWith('['));
    const marks = known.map(({ mark }) => mark);
    deepEqual(
      again?.events.map(({ mark }) => mark),
      marks,
      `${end} records`,
    );
  }
});

/** As bytes and back. */
function readBack(records: readonly Written[]): readonly Written[] {
  const opening = openingBytes({
    ...{ endpoint: 'chat', model: 'tiny', raw: '{}', owner: 'o', digest: 'd', named: null, apart: true },
    engines: { maxModelLen: 4_096, ability: noAbility, seed: 1 },
  });
  const bytes = records.reduce((into, one) => into.raw(recordBytes(one)), new ByteWriter().raw(opening));
  const log = readLog(bytes.bytes())!;
  deepEqual(log.records, records);
  equal(log.opening.apart, true);
  return log.records;
}

test('[S31] an answer that is handed over is closed without an end, and one that cannot be ends in an error event', () => {
  const request = apart('chat', asked);
  const over = sing(request, singer, { then: { after: 4, event: { type: 'cut', resumes: true } } });
  deepEqual([over.closed, parted(over.sent).done, over.left], [true, 0, 0]);
  equal(fact(over, 'stream.handedOver').length, 1);
  const lost = sing(request, singer, { then: { after: 4, event: { type: 'cut', resumes: false } } });
  deepEqual([parted(lost.sent).errors, parted(lost.sent).done, lost.left], [1, 1, 0]);
  equal(fact(lost, 'stream.entryLost').length, 1);
  const gone = sing(request, singer, { then: { after: 4, event: { type: 'client-left' } } });
  deepEqual([gone.closed, fact(gone, 'stream.abandoned').length, gone.left], [false, 1, 0]);
});
