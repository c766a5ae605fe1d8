/** Chats that reason and call, cut off at every event and gone on with by render, generate and derender. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { memberId } from '../../src/std/member-id.ts';
import type { LegRequest } from '../../src/stream/continuation.ts';
import { ask, causes, converse, gathered, lead, type Cut, type Told } from './conversation.ts';
import { answerIds, parsingEngine, promptIds } from './parsing-engine.ts';
import { ability, scenarios, understood } from './parsed-chats.ts';

/** What a client hears of it. */
const heardIn = ({ sent, closed }: Told) => ({ ...understood(sent), closed });
const run = (asked: Record<string, unknown>, cuts: readonly (Cut | undefined)[]): Told =>
  converse(ask('chat', asked, { ability }), parsingEngine, cuts);
const pathsOf = ({ asked }: Told): readonly string[] => asked.map(({ path }) => path);
/** A leg that is not cut. */
const whole = undefined;

for (const [name, asked] of Object.entries(scenarios)) {
  test(`[S19] ${name} is the same, cut anywhere`, () => {
    const undisturbed = heardIn(run(asked, []));
    const length = parsingEngine(
      { path: '/v1/chat/completions', body: JSON.stringify(asked), streamed: true },
      1,
    ).length;
    ok(undisturbed.reasoning.length > 0 && undisturbed.closed);
    for (let after = 3; after < length; after++) {
      const told = run(asked, [{ after, by: causes[after % causes.length]! }]);
      deepEqual(heardIn(told), undisturbed, `cut after ${after}`);
    }
  });

  test(`[S19] ${name} is the same, cut again while it is continued`, () => {
    const undisturbed = heardIn(run(asked, []));
    for (let after = 3; after < 20; after += 3) {
      for (let again = 1; again < 12; again++) {
        const told = run(asked, [
          { after, by: 'eof' },
          whole,
          { after: 2, by: 'reset' },
          { after: again, by: 'dead' },
        ]);
        if (told.facts.some(({ fact }) => fact === 'stream.failed')) continue;
        deepEqual(heardIn(told), undisturbed, `cut after ${after} and ${again}`);
      }
    }
  });
}

test('[S7] a plain chat that turns to reasoning tells its usage with every chunk, cut or not', () => {
  const asked = {
    ...scenarios['a plain chat that turns to reasoning'],
    stream_options: { include_usage: true, continuous_usage_stats: true },
  };
  for (const cuts of [[], [{ after: 9, by: 'eof' } as const]]) {
    const chunks = run(asked, cuts)
      .sent.filter((data) => data !== '[DONE]')
      .map((data) => JSON.parse(data) as { readonly usage?: { readonly completion_tokens: number } });
    const counts = chunks.map(({ usage }) => usage?.completion_tokens);
    deepEqual(
      counts,
      counts.map((count = NaN) => count).toSorted((one, other) => one - other),
    );
    equal(counts.at(-1), answerIds.length);
  }
});

test('[S19] it is rendered once, generated from prompt and answer, and told from one state', () => {
  const questions: LegRequest[] = [];
  const engine = (request: LegRequest, leg: number): readonly string[] => {
    if (request.path.endsWith('derender')) questions.push(request);
    return parsingEngine(request, leg);
  };
  const request = ask('chat', { ...scenarios['a chat with calls'], max_tokens: 40 }, { ability });
  const told = converse(request, engine, [{ after: 9, by: 'eof' }, whole, { after: 12, by: 'reset' }]);
  deepEqual(pathsOf(told), [
    '/v1/chat/completions',
    '/v1/chat/completions/render',
    '/inference/v1/generate',
    '/inference/v1/generate',
  ]);
  const [first, second] = told.asked.slice(2).map((leg) => JSON.parse(leg.body) as Generate);
  const carried = answerIds.slice(0, 8);
  deepEqual(first?.token_ids, [...promptIds, ...carried]);
  equal(first?.sampling_params.max_tokens, 32);
  ok(second!.token_ids.length > first!.token_ids.length);
  const states = questions.map(({ body: sent }) => JSON.parse(sent) as Derender);
  equal(states.filter(({ stream_state }) => stream_state === null).length, 1);
  deepEqual(states[0]?.generate_chunk.choices[0]?.token_ids, carried);
  ok(states.slice(1).every(({ stream_state }) => stream_state?.output_chunk_lens.length === 1));
  ok(questions.length < answerIds.length - 8, 'tokens that came meanwhile go together');
});

type Generate = {
  readonly token_ids: readonly number[];
  readonly sampling_params: { readonly max_tokens: number };
};
type Derender = {
  readonly stream_state: { readonly output_chunk_lens: readonly number[] } | null;
  readonly generate_chunk: { readonly choices: readonly { readonly token_ids: readonly number[] }[] };
};

test('[S19] a member that does not derender is left for another one', () => {
  let refusals = 0;
  const engine = (request: LegRequest, leg: number): readonly string[] =>
    request.path.endsWith('derender') && refusals++ < 1 ? [''] : parsingEngine(request, leg);
  const asked = scenarios['a chat with calls'];
  const told = converse(ask('chat', asked, { ability }), engine, [{ after: 9, by: 'eof' }]);
  deepEqual(heardIn(told), heardIn(run(asked, [])));
  equal(pathsOf(told).filter((path) => path === '/inference/v1/generate').length, 2);
});

test('[S19] what render would bind to a grammar is not continued without it', () => {
  const engine = (request: LegRequest, leg: number): readonly string[] =>
    parsingEngine(request, leg).map((data) =>
      request.path.endsWith('/render')
        ? data.replace('"temperature":0', '"structured_outputs":{"json":{}}')
        : data,
    );
  const told = converse(ask('chat', scenarios['a chat with calls'], { ability }), engine, [
    { after: 9, by: 'eof' },
  ]);
  ok(gathered(told.sent).error !== null);
  equal(told.facts.at(-1)?.fact, 'stream.failed');
});

test('[S8] an engine that has generated the end may say what it likes after it: what it made is told', () => {
  const asked = scenarios['a chat with calls'];
  const engine = (request: LegRequest, leg: number): readonly string[] =>
    parsingEngine(request, leg).map((data) => (data === '[DONE]' ? 'nonsense' : data));
  for (const cuts of [[], [{ after: 9, by: 'eof' }]] as const) {
    const [undisturbed, told] = [run(asked, cuts), converse(ask('chat', asked, { ability }), engine, cuts)];
    deepEqual([heardIn(told), pathsOf(told)], [heardIn(undisturbed), pathsOf(undisturbed)]);
  }
});

test('[S19] an answer that has its length is ended without an engine', () => {
  const asked = { ...scenarios['a chat with calls, usage and ids'], max_tokens: 12 };
  const undisturbed = run(asked, []);
  const told = run(asked, [{ after: 12, by: 'eof' }]);
  deepEqual(heardIn(told), heardIn(undisturbed));
});

test('[S19] an answer may have 16 tokens, a number that render leaves out as the one that goes without saying', () => {
  const asked = { ...scenarios['a chat with calls, usage and ids'], max_tokens: 16 };
  const told = run(asked, [{ after: 9, by: 'eof' }]);
  deepEqual(heardIn(told), heardIn(run(asked, [])));
  deepEqual(pathsOf(told)[2], '/inference/v1/generate');
});

test('[S19] a member that was not reached has not heard the question either', () => {
  const asked = scenarios['a chat with calls'];
  const told = run(asked, [{ after: 9, by: 'eof' }, whole, { after: 0, by: 'unreached' }]);
  deepEqual(heardIn(told), heardIn(run(asked, [])));
});

test('[S19] [S31] its client goes on with it at another entry node when this one leaves', () => {
  const led = lead(ask('chat', scenarios['a chat with calls'], { ability }));
  led.at(0, { type: 'begin' });
  led.at(0, { type: 'placed', leg: 1, member: memberId('a') });
  const asked = { path: '/v1/chat/completions', body: '{"return_token_ids":true}', streamed: true } as const;
  for (const data of parsingEngine(asked, 1).slice(0, 5)) led.item(10, 1, data);
  const types = led.at(20, { type: 'cut', resumes: true }).map(({ type }) => type);
  deepEqual(types, ['abort', 'close', 'fact']);
});
