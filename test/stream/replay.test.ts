/**
 * Answers that are continued by asking the same again. The engine here says one answer of several strands, in chunks
 * that are cut differently each time it is asked, and the answer is cut off at every event.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { draw, type Rng } from '../../src/std/random.ts';
import { instant } from '../../src/std/time.ts';
import { restore } from '../../src/stream/carrier.ts';
import { resumed } from '../../src/stream/state.ts';
import {
  ask,
  causes,
  converse,
  lead,
  memberOfLeg,
  type Cut,
  type Engine,
  type Told,
} from './conversation.ts';
import { byteIds } from './scripted-engine.ts';

const messages = [{ role: 'user', content: 'hi' }];
const seeded = { model: 'tiny', messages, stream: true, seed: 7, n: 2 };
const usage = { stream_options: { include_usage: true } };

/** One token each: what it adds to the delta of a choice. */
type Token = Readonly<Record<string, unknown>>;
const call = (index: number, said: object): Token => ({ tool_calls: [{ index, ...said }] });
const tokens = (leg: number): readonly Token[] => [
  {},
  { reasoning: 'I think' },
  { reasoning: ', so' },
  { content: '\n\n' },
  { content: 'Let me 世' },
  { content: '界 see' },
  call(0, { id: `call-${leg}-0`, type: 'function', function: { name: 'weather' } }),
  call(0, { function: { arguments: '{"place": ' } }),
  call(0, { function: { arguments: '"Oslo"}' } }),
  call(1, { id: `call-${leg}-1`, type: 'function', function: { name: 'time', arguments: '' } }),
  call(1, { function: { arguments: '{}' } }),
  {},
];

/** Deltas of several tokens in one chunk, as vLLM merges what a slow reader left. */
function merged(group: readonly Token[]): Token {
  const all: Record<string, unknown> = {};
  for (const token of group) {
    for (const [name, value] of Object.entries(token)) {
      const before = all[name];
      all[name] =
        typeof value === 'string'
          ? `${(before as string | undefined) ?? ''}${value}`
          : [...((before as []) ?? []), ...(value as [])];
    }
  }
  return all;
}

function chunks(choice: number, leg: number, cutAt: (i: number) => boolean): object[] {
  const all = tokens(leg);
  const events: object[] = [
    { index: choice, delta: { role: 'assistant', content: '' }, finish_reason: null },
  ];
  for (let from = 0, to = 1; from < all.length; from = to, to = from + 1) {
    while (to < all.length && !cutAt(to)) to++;
    const ids = Array.from({ length: to - from }, (_, i) => 100 * (choice + 1) + from + i);
    const ends = to === all.length;
    events.push({
      index: choice,
      delta: merged(all.slice(from, to)),
      logprobs: { content: ids.map((id) => ({ token: `token_id:${id}`, logprob: -leg })) },
      finish_reason: ends ? 'tool_calls' : null,
      ...(ends ? { stop_reason: null } : {}),
      token_ids: ids,
    });
  }
  return events;
}

/** Asked again, it merges more; the choices take turns. */
const engine =
  (wantsUsage: boolean): Engine =>
  (_, leg) => {
    let rng: Rng = { seed: leg };
    const cutAt = (): boolean => {
      const [at, next] = draw(rng, 3);
      rng = next;
      return leg === 1 || at > 0;
    };
    const [a, b] = [chunks(0, leg, cutAt), chunks(1, leg, cutAt)];
    const turns = Array.from({ length: Math.max(a.length, b.length) }, (_, i) =>
      [a[i], b[i]].filter((x) => x),
    );
    const head = { id: `chat-${leg}`, object: 'chat.completion.chunk', created: 100 + leg, model: 'tiny' };
    const said: object[] = turns.flat().map((choice) => ({ ...head, choices: [choice] }));
    if (wantsUsage) said.push({ ...head, choices: [], usage: { prompt_tokens: 5, completion_tokens: 24 } });
    return [...said.map((chunk) => JSON.stringify(chunk)), '[DONE]'];
  };

type Said = {
  readonly id: string;
  readonly created: number;
  readonly usage?: object;
  readonly error?: { readonly message: string };
  readonly choices: readonly {
    readonly index: number;
    readonly finish_reason: string | null;
    readonly token_ids?: readonly number[];
    readonly logprobs?: { readonly content: readonly { readonly token: string }[] };
    readonly delta: {
      readonly role?: string;
      readonly content?: string;
      readonly reasoning?: string;
      readonly tool_calls?: readonly {
        readonly index: number;
        readonly id?: string;
        readonly function?: { readonly name?: string; readonly arguments?: string };
      }[];
    };
  }[];
};

/** All that a client puts together of one choice. */
function understood({ sent }: Told, index: number) {
  const all = sent.filter((data) => data !== '[DONE]').map((data) => JSON.parse(data) as Said);
  const choices = all.flatMap((chunk) => chunk.choices ?? []).filter((choice) => choice.index === index);
  const calls: Record<number, { name: string; args: string; ids: number }> = {};
  for (const part of choices.flatMap(({ delta }) => delta.tool_calls ?? [])) {
    const one = (calls[part.index] ??= { name: '', args: '', ids: 0 });
    one.name += part.function?.name ?? '';
    one.args += part.function?.arguments ?? '';
    one.ids += part.id === undefined ? 0 : 1;
  }
  return {
    calls,
    content: choices.map(({ delta }) => delta.content ?? '').join(''),
    reasoning: choices.map(({ delta }) => delta.reasoning ?? '').join(''),
    roles: choices.filter(({ delta }) => delta.role !== undefined).length,
    ids: choices.flatMap(({ token_ids }) => token_ids ?? []),
    named: choices.flatMap(({ logprobs }) => logprobs?.content ?? []).map(({ token }) => token),
    finish: choices.flatMap(({ finish_reason }) => finish_reason ?? []),
    heads: [...new Set(all.map(({ id, created }) => `${id} ${created}`))],
    usage: all.filter((chunk) => chunk.usage !== undefined).length,
    done: sent.filter((data) => data === '[DONE]').length,
  };
}

/** All that it says when it is asked for the first time. */
const saidBy = (engine: Engine): readonly string[] =>
  typeof engine === 'function' ? engine({ path: '/v1/completions', body: '', streamed: true }, 1) : [];
const length = (body: object): number => saidBy(engine('stream_options' in body)).length;

for (const body of [seeded, { ...seeded, ...usage }]) {
  const request = () => ask('chat', body);
  const say = engine('stream_options' in body);

  test(`[S18] asked again, the rest is the rest, cut anywhere${'stream_options' in body ? ', usage and all' : ''}`, () => {
    const undisturbed = converse(request(), say, []);
    for (let after = 1; after < length(body); after++) {
      const told = converse(request(), say, [{ after, by: causes[after % causes.length]! }]);
      for (const choice of [0, 1])
        deepEqual(understood(told, choice), understood(undisturbed, choice), `cut after ${after}`);
    }
  });

  test(`[S18] and cut again on the way${'stream_options' in body ? ', usage and all' : ''}`, () => {
    const undisturbed = converse(request(), say, []);
    for (let after = 1; after < length(body) - 2; after++) {
      const cuts: Cut[] = [
        { after, by: 'eof' },
        { after: 3, by: 'reset' },
      ];
      const told = converse(request(), say, cuts);
      for (const choice of [0, 1])
        deepEqual(understood(told, choice), understood(undisturbed, choice), `cut after ${after}`);
    }
  });
}

test('[S18] the first engine is passed on as it is, and every engine is asked in the same words', () => {
  const told = converse(ask('chat', seeded), engine(false), [{ after: 9, by: 'eof' }]);
  deepEqual(told.sent.slice(0, 9), saidBy(engine(false)).slice(0, 9));
  deepEqual(
    told.asked.map(({ body }) => body),
    [JSON.stringify(seeded), JSON.stringify(seeded)],
  );
});

test('[S18] what contradicts what the client has ends in an error event', () => {
  const say: Engine = (_, leg) =>
    saidBy(engine(false)).map((data) => (leg === 1 ? data : data.replace('Let me', 'Let us')));
  const early = converse(ask('chat', seeded), say, [{ after: 8, by: 'reset' }]);
  ok(understood(early, 0).content.includes('Let us'), 'of what differs nothing was said yet');
  const told = converse(ask('chat', seeded), say, [{ after: 14, by: 'reset' }]);
  equal(told.facts.at(-1)?.fact, 'stream.failed');
  ok(told.sent.at(-2)?.includes('mismatch'));
  deepEqual([told.asked.length, told.closed, told.sent.at(-1)], [2, true, '[DONE]']);
});

test('[S18] an answer that ends before what the client has of it, or goes on behind its end, is another one', () => {
  const body = { ...seeded, n: 1 };
  const chunk = (content: string, finish: string | null): string =>
    JSON.stringify({
      id: 'c',
      created: 1,
      choices: [{ index: 0, delta: { content }, finish_reason: finish }],
    });
  const say =
    (...legs: readonly (readonly string[])[]): Engine =>
    (_, leg) => [...legs[leg - 1]!, '[DONE]'];
  const short = say([chunk('One two', null), chunk(' three', 'stop')], [chunk('One', 'stop')]);
  const told = converse(ask('chat', body), short, [{ after: 1, by: 'eof' }]);
  ok(told.sent.at(-2)?.includes('mismatch'));
  const long = say([chunk('One two', 'length')], [chunk('One two', null), chunk(' three', 'stop')]);
  const ended = converse(ask('chat', { ...body, ...usage }), long, [{ after: 1, by: 'eof' }]);
  ok(ended.sent.at(-2)?.includes('mismatch'));
});

/** Says one word an event, the same to everybody. */
const words: Engine = () => [
  ...Array.from({ length: 30 }, (_, i) =>
    JSON.stringify({
      id: 'c',
      created: 1,
      choices: [{ index: 0, delta: { content: ` w${i}` }, finish_reason: i === 29 ? 'stop' : null }],
    }),
  ),
  '[DONE]',
];
/** The first engine is lost after twenty words, those after it as told. */
const retold = (...after: readonly number[]) =>
  converse(ask('chat', { ...seeded, n: 1 }), words, [
    { after: 20, by: 'eof' },
    ...after.map((words): Cut => ({ after: words, by: 'silence' })),
  ]);

test('[S18] who says again what the client has is alive: a pause on the way is no fruitless move', () => {
  const told = retold(4, 8, 12, 16, 19);
  deepEqual([told.asked.length, told.facts.at(-1)?.fact], [6 + 1, 'stream.finished']);
  equal(understood(told, 0).content, understood(retold(), 0).content);
});

test('[S18] two moves in a row that come no further than one before them are the last', () => {
  deepEqual([retold(8, 8, 4).asked.length, retold(8, 8, 4).facts.at(-1)?.fact], [4, 'stream.failed']);
  equal(retold(8, 4, 9, 3, 5).asked.length, 6, 'further again, and the count begins again');
});

test('[S18] who has said again all that the client has, and nothing new, was in vain', () => {
  deepEqual([retold(20, 20).asked.length, retold(20, 20).facts.at(-1)?.fact], [3, 'stream.failed']);
});

test('[S18] one word further each time does not go on for ever', () => {
  const told = retold(...Array.from({ length: 19 }, (_, i) => i + 1));
  deepEqual([told.asked.length, told.facts.at(-1)?.fact], [1 + 8 + 2, 'stream.failed']);
});

test('[S18] a new word after pauses makes every count begin again', () => {
  const told = retold(1, 2, 3, 4, 5, 6, 7, 8, 22, 1, 2, 3, 4, 5, 6, 7, 8);
  deepEqual([told.asked.length, told.facts.at(-1)?.fact], [19, 'stream.finished']);
});

test('[S9] words that are said again show the rhythm too', () => {
  const led = lead(ask('chat', { ...seeded, n: 1 }));
  const said = saidBy(words);
  const begin = (ms: number, leg: number): void => {
    led.at(ms, { type: 'placed', leg, member: memberOfLeg(leg) });
    led.at(ms, { type: 'answered', leg });
  };
  led.at(0, { type: 'begin' });
  begin(0, 1);
  for (let i = 0; i < 20; i++) led.item(i * 30, 1, said[i]!);
  led.at(600, { type: 'ended', leg: 1, cause: 'eof' });
  begin(600, 2);
  // Far slower than the first, and never silent for longer than it shows.
  let at: number = 600;
  for (let i = 0; i < 15; i++) {
    at += 600;
    for (; led.deadline() < at;) deepEqual(led.at(led.deadline(), { type: 'tick' }), []);
    led.item(at, 2, said[i]!);
  }
  ok(led.deadline() <= at + 800);
  for (; led.leg() === 2;) led.at(led.deadline(), { type: 'tick' });
  ok(
    led.now() >= at + 600 * 8 && led.now() <= at + 600 * 8 + 800,
    'eight of its own gaps, not of the first one',
  );
});

test('[S10] the search for another engine begins when the last one that spoke is lost', () => {
  const led = lead(ask('chat', { ...seeded, n: 1 }));
  const said = saidBy(words);
  led.at(0, { type: 'begin' });
  led.at(0, { type: 'placed', leg: 1, member: memberOfLeg(1) });
  for (let i = 0; i < 20; i++) led.item(i, 1, said[i]!);
  led.at(100, { type: 'ended', leg: 1, cause: 'eof' });
  led.at(100, { type: 'placed', leg: 2, member: memberOfLeg(2) });
  for (let i = 0; i < 15; i++) led.item(100 + i * 2_000, 2, said[i]!);
  led.at(30_000, { type: 'ended', leg: 2, cause: 'eof' });
  deepEqual(led.at(30_000, { type: 'unplaced', leg: 3, why: 'unavailable' }), []);
  equal(led.deadline(), 30_250);
});

test('[S18] a replay that has told the end needs no engine to say so', () => {
  const body = { model: 'tiny', prompt: byteIds('hi'), stream: true, temperature: 0, echo: true };
  const chunk = (text: string, finish: string | null): string =>
    JSON.stringify({ id: 'c', created: 1, choices: [{ index: 0, text, finish_reason: finish }] });
  const said = [chunk('hi', null), chunk(' there', 'stop'), '[DONE]'];
  const told = converse(ask('completions', body), () => said, [{ after: 2, by: 'reset' }]);
  deepEqual([told.asked.length, told.sent], [1, said]);
});

test('[S18] a replay that another entry node goes on with behind its end is not made again to say so', () => {
  const body = { ...seeded, ...usage };
  const undisturbed = converse(ask('chat', body), engine(true), []);
  const { records, said } = undisturbed;
  for (const [lacks, asked] of [
    [0, 0],
    [1, 1],
  ] as const) {
    const { carrier, events } = restore(ask('chat', body), records.slice(0, records.length - lacks))!;
    const rest = converse(
      ask('chat', body),
      engine(true),
      [],
      resumed(ask('chat', body), carrier, instant(0)),
    );
    equal(rest.asked.length, asked, `${lacks} records lacking`);
    const marks = [...events, ...rest.said].map(({ data, mark }) => [data === '[DONE]', mark]);
    deepEqual([marks.length, marks.at(-1)], [said.length, [true, said.at(-1)!.mark]]);
  }
});
