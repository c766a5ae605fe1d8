/**
 * The law of resuming: wherever the log of an answer ends, another entry node tells what is left of it as the first one
 * would have, word for word. And the marks by which a client says where it is.
 */
import { deepEqual, equal, notEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { noAbility } from '../../src/std/ability.ts';
import { meet, restore } from '../../src/stream/carrier.ts';
import { eventId, isSame, pass, placeFrom, start } from '../../src/stream/mark.ts';
import {
  answerBytes,
  cutAt,
  openingBytes,
  readLog,
  recordBytes,
  tokensIn,
  type LogRecord,
  type Opening,
} from '../../src/stream/record.ts';
import type { PlainRequest } from '../../src/stream/request.ts';
import { resumed } from '../../src/stream/state.ts';
import { ByteWriter } from '../../src/std/bytes.ts';
import { instant } from '../../src/std/time.ts';
import { ask, converse, gathered, type Cut, type Told } from './conversation.ts';
import { byteIds, eosId, wordId, type Script } from './scripted-engine.ts';

const promptIds = byteIds('Say 世 hello');
const answer = [
  ...['Hel', 'lo', ' th', 'ere'].map(wordId),
  ...byteIds(' 世é🐈 '),
  ...['stop', ' it', ' now', ', pl', 'ease'].map(wordId),
  eosId,
];
const messages = [{ role: 'user', content: 'hi' }];
const usage = { stream_options: { include_usage: true } };
const chat = { model: 'tiny', messages, stream: true, return_token_ids: true };
const completion = { model: 'tiny', prompt: 'Say 世 hello', max_tokens: 60, stream: true };

const cases: readonly { readonly name: string; readonly request: PlainRequest; readonly script: Script }[] = [
  scenario('a chat', 'chat', { ...chat, ...usage }),
  scenario('a chat in mixed chunks', 'chat', chat, (chunk) => (chunk % 3 === 1 ? 2 : 1)),
  scenario('a chat with a stop string', 'chat', { ...chat, stop: ['now, please'] }),
  scenario('a completion of limited length', 'completions', { ...completion, ...usage, max_tokens: 9 }),
  scenario('a completion with a stop string that nearly comes', 'completions', {
    ...completion,
    stop: ['please!'],
  }),
];

function scenario(
  name: string,
  endpoint: 'chat' | 'completions',
  body: Record<string, unknown>,
  group?: Script['group'],
) {
  const request = ask(endpoint, body);
  ok(request.way === 'ids');
  return { name, request, script: { promptIds, answer, id: 'first', ...(group && { group }) } };
}

const again = ({ request, script }: (typeof cases)[number], records: readonly LogRecord[]) => {
  const { carrier, events } = restore(request, records)!;
  const elsewhere = { ...script, id: 'second' };
  const rest = converse(request, elsewhere, [], resumed(request, carrier, instant(0)));
  return { events, rest };
};

const sum = (events: readonly { readonly data: string }[]): unknown =>
  gathered(events.map(({ data }) => data));

for (const one of cases) {
  const undisturbed: Told = converse(one.request, one.script, []);

  test(`[S30] ${one.name}: wherever its log ends, the rest is told as it would have been`, () => {
    for (let end = 0; end <= undisturbed.records.length; end++) {
      const { events, rest } = again(one, undisturbed.records.slice(0, end));
      const all = [...events, ...rest.said];
      const heads = end === 0 ? ['second'] : ['first'];
      deepEqual(
        (sum(all) as { heads: string[] }).heads.map((head) => head.split(' ')[0]),
        heads,
      );
      if (end > 0) deepEqual(sum(all), sum(undisturbed.said), `after ${end} records`);
      const marks = new Set(all.map(({ mark }) => eventId('s', mark)));
      equal(marks.size, all.length, 'no two events have one mark');
      const mids = undisturbed.said.map(({ mark }) => mark).filter(({ tokens }) => tokens > 0);
      equal(eventId('s', all.at(-1)!.mark), eventId('s', mids.at(-1)!), 'and they end at the same');
    }
  });

  test(`[S30] ${one.name}: what is written down by the time of an event gives that event again`, () => {
    for (const { mark, records } of undisturbed.said) {
      const { events, rest } = again(one, undisturbed.records.slice(0, records));
      const all = [...events, ...rest.said].map((said) => eventId('s', said.mark));
      ok(all.includes(eventId('s', mark)));
    }
  });

  test(`[S30] ${one.name}: what a client has and the log lacks is made again, and no more than that`, () => {
    const marks = undisturbed.said.map(({ mark }) => mark).filter(({ tokens }) => tokens > 0);
    for (const { tokens, hash } of marks.slice(0, -2)) {
      const limited = { ...one.request, maxTokens: tokens };
      const { carrier } = restore(limited, undisturbed.records.slice(0, 2))!;
      const { said } = converse(limited, one.script, [], resumed(limited, carrier, instant(0)));
      const isMade = said.some((each) =>
        [each.mark, each.ending?.behind].some((mark) => mark !== undefined && isSame(mark, { tokens, hash })),
      );
      ok(isMade || tokens <= carrierTokens(one.request, undisturbed.records.slice(0, 2)));
    }
  });
}

test('[S33] a client whose last event ended inside a character goes on there, though nothing told alone ends so', () => {
  const [, one] = cases;
  const undisturbed: Told = converse(one!.request, one!.script, []);
  const { promptIds, answer } = one!.script;
  const alone: Script = { promptIds, answer, id: 'second' };
  let inside = 0;
  for (const [at, { mark, data }] of undisturbed.said.entries()) {
    if (mark.tokens < 2 || data === '[DONE]' || data.includes('"finish_reason":"')) continue;
    const known = undisturbed.records.slice(0, 3);
    const limited = { ...one!.request, maxTokens: mark.tokens };
    const before = restore(limited, known)!.carrier;
    const { records: made } = converse(limited, alone, [], resumed(limited, before, instant(0)));
    const more = made.flatMap((each) => (each.type === 'said' ? { ...each, finish: null } : []));
    const { carrier, events } = restore(one!.request, [...known, ...more])!;
    const isMet = meet(carrier, mark);
    const had = undisturbed.said.slice(0, at + 1);
    const told = isMet ? [] : events.slice(events.findIndex((said) => isSame(said.mark, mark)) + 1);
    // Its engine is lost once more before it has said a character.
    const cuts: readonly Cut[] = isMet ? [{ after: 1, by: 'eof' }] : [];
    const rest = converse(one!.request, alone, cuts, resumed(one!.request, carrier, instant(0)));
    deepEqual(sum([...had, ...told, ...rest.said]), sum(undisturbed.said), `behind ${mark.tokens} tokens`);
    if (isMet) inside += 1;
    const elsewhere = again({ ...one!, script: alone }, [...known, ...more]);
    deepEqual(sum([...elsewhere.events, ...elsewhere.rest.said]), sum(undisturbed.said));
    equal(meet(restore(one!.request, [...known, ...more])!.carrier, { ...mark, hash: mark.hash ^ 1 }), false);
  }
  ok(inside > 0);
});

const carrierTokens = (request: PlainRequest, records: readonly LogRecord[]): number =>
  restore(request, records)!.events.at(-1)?.mark.tokens ?? 0;

const opening: Opening = {
  ...{
    endpoint: 'chat',
    model: 'tiny',
    raw: '{"model":"tiny"}',
    engines: { maxModelLen: 4_096, ability: noAbility, seed: 5 },
  },
  ...{ owner: 'o', digest: 'd', named: { id: 'chatcmpl-7', created: 1_700_000_000 }, apart: false },
};
const concat = (...parts: readonly Uint8Array[]): Uint8Array =>
  parts.reduce((into, part) => into.raw(part), new ByteWriter()).bytes();

test('[S30] a log read again is what was written', () => {
  for (const { request, script } of cases) {
    const { records } = converse(request, script, []);
    const bytes = concat(openingBytes(opening), ...records.map(recordBytes));
    deepEqual(readLog(bytes), { opening, records, answer: null });
    const told = { type: 'answer', status: 200, body: '{"é":1}' } as const;
    deepEqual(readLog(concat(bytes, answerBytes(told))), { opening, records, answer: told });
  }
});

test('[S30] a log of an earlier version does not tell how its answer is named', () => {
  const { named: _, ...earlier } = opening;
  deepEqual(readLog(openingBytes(earlier as Opening))?.opening, { ...opening, named: null });
});

test('[S30] a log of a later version is read by what is known of it, and one cut off up to there', () => {
  const { records } = converse(cases[0]!.request, cases[0]!.script, []);
  const later = new ByteWriter().varint(77).text('whatever this is').bytes();
  const newer = { ...opening, priority: 3 } as Opening;
  const bytes = concat(later, openingBytes(newer), ...records.flatMap((one) => [later, recordBytes(one)]));
  deepEqual(readLog(bytes), { opening, records, answer: null });
  for (let end = 0; end < bytes.length; end++) {
    const read = readLog(bytes.subarray(0, end));
    if (read !== null) deepEqual(read.records, records.slice(0, read.records.length));
  }
  equal(readLog(Uint8Array.of(255, 255, 255)), null);
});

test('[S33] a log whose pieces go over the place of a client is cut before them, and else not at all', () => {
  const said = (ids: readonly number[]): Uint8Array =>
    recordBytes({ type: 'said', ids, text: 'x', single: ids.length === 1, finish: null });
  const bytes = concat(openingBytes(opening), said([1, 2]), said([3, 4, 5]), said([6]));
  const tokensAt = (tokens: number): number => tokensIn(readLog(cutAt(bytes, tokens))!);
  deepEqual([0, 1, 2, 3, 4, 5, 6, 9].map(tokensAt), [6, 0, 6, 2, 2, 6, 6, 6]);
});

test('[S30] an event id says where a client is, by tokens however they were cut into events', () => {
  const stream = 'aAbBcCdDeEfFgGhHiIjJkK';
  const mark = pass(start, [1, 2, 3]);
  deepEqual(pass(pass(start, [1]), [2, 3]), mark);
  deepEqual(placeFrom(eventId(stream, mark)), { stream, mark });
  for (const hash of [0, 0xf, 0xffff, 0x1_0000, 0xa_0005, 0x7fff_ffff, 0x8000_0001, 0xffff_ffff])
    equal(eventId('s', { tokens: 7, hash }), `s.7.${hash.toString(16)}`);
  for (const ids of [
    [1, 2],
    [1, 3, 2],
    [0, 0, 0],
    [1, 2, 3, 0],
  ])
    notEqual(pass(start, ids).hash, mark.hash);
  for (const wrong of ['', 'x', `${stream}.1`, `${stream}.-1.ab`, `${stream}.1.xyz`, 'short.1.ab'])
    equal(placeFrom(wrong), null);
});
