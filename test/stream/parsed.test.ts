/** Chats that reason and call, cut off at every event and gone on with by render, generate and derender. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Ability } from '../../src/std/ability.ts';
import { memberId } from '../../src/std/member-id.ts';
import type { LegRequest } from '../../src/stream/continuation.ts';
import { ask, converse, gathered, lead, type Cut, type Told } from './conversation.ts';
import { answerIds, parsingEngine, promptIds } from './parsing-engine.ts';

const ability: Ability = { scaleOut: true, keyedByPosition: false, repeatable: true };
const tools = [{ type: 'function', function: { name: 'weather', parameters: {} } }];
const body = { model: 'tiny', messages: [{ role: 'user', content: 'weather?' }], stream: true };
const usage = { stream_options: { include_usage: true } };

const scenarios = {
  'a chat with calls': { ...body, tools },
  'a chat with calls, usage and ids': {
    ...body,
    ...usage,
    tools,
    tool_choice: 'auto',
    return_token_ids: true,
  },
  'a chat with calls that is cut short': { ...body, ...usage, tools, max_tokens: 17 },
  'a plain chat that turns to reasoning': body,
  'a plain chat that turns to reasoning, with usage and ids': { ...body, ...usage, return_token_ids: true },
};

type Delta = {
  readonly reasoning?: string;
  readonly tool_calls?: readonly {
    readonly index: number;
    readonly id?: string;
    readonly function: { readonly name?: string; readonly arguments?: string };
  }[];
};

function understood({ sent, closed }: Told) {
  const chunks = sent
    .filter((data) => data !== '[DONE]')
    .map((data) => JSON.parse(data) as { choices?: readonly { delta: Delta }[] });
  const deltas = chunks.flatMap(({ choices }) => choices ?? []).map(({ delta }) => delta);
  const calls: Record<number, { name: string; args: string; ids: number }> = {};
  for (const part of deltas.flatMap(({ tool_calls }) => tool_calls ?? [])) {
    const one = (calls[part.index] ??= { name: '', args: '', ids: 0 });
    one.name += part.function.name ?? '';
    one.args += part.function.arguments ?? '';
    one.ids += part.id === undefined ? 0 : 1;
  }
  const reasoning = deltas.map((delta) => delta.reasoning ?? '').join('');
  return { ...gathered(sent), reasoning, calls, closed };
}

const run = (asked: Record<string, unknown>, cuts: readonly (Cut | undefined)[]): Told =>
  converse(ask('chat', asked, { ability }), parsingEngine, cuts);
const pathsOf = ({ asked }: Told): readonly string[] => asked.map(({ path }) => path);
/** A leg that is not cut. */
const whole = undefined;
const causes: readonly Cut['by'][] = [
  'eof',
  'reset',
  'error',
  'abort',
  'bare-done',
  'silence',
  'drain',
  'dead',
];

for (const [name, asked] of Object.entries(scenarios)) {
  test(`[S19] ${name} is the same, cut anywhere`, () => {
    const undisturbed = understood(run(asked, []));
    const length = parsingEngine(
      { path: '/v1/chat/completions', body: JSON.stringify(asked), streamed: true },
      1,
    ).length;
    ok(undisturbed.reasoning.length > 0 && undisturbed.closed);
    for (let after = 3; after < length; after++) {
      const told = run(asked, [{ after, by: causes[after % causes.length]! }]);
      deepEqual(understood(told), undisturbed, `cut after ${after}`);
    }
  });

  test(`[S19] ${name} is the same, cut again while it is continued`, () => {
    const undisturbed = understood(run(asked, []));
    for (let after = 3; after < 20; after += 3) {
      for (let again = 1; again < 12; again++) {
        const told = run(asked, [
          { after, by: 'eof' },
          whole,
          { after: 2, by: 'reset' },
          { after: again, by: 'dead' },
        ]);
        if (told.facts.some(({ fact }) => fact === 'stream.failed')) continue;
        deepEqual(understood(told), undisturbed, `cut after ${after} and ${again}`);
      }
    }
  });
}

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
  deepEqual(understood(told), understood(run(asked, [])));
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

test('[S19] an answer that has its length is ended without an engine', () => {
  const asked = { ...scenarios['a chat with calls, usage and ids'], max_tokens: 12 };
  const undisturbed = run(asked, []);
  const told = run(asked, [{ after: 12, by: 'eof' }]);
  deepEqual(understood(told), understood(undisturbed));
});

test('[S19] a member that was not reached has not heard the question either', () => {
  const asked = scenarios['a chat with calls'];
  const told = run(asked, [{ after: 9, by: 'eof' }, whole, { after: 0, by: 'unreached' }]);
  deepEqual(understood(told), understood(run(asked, [])));
});

test('[S19] [S31] its client is not sent to another entry node, where nothing is written down of it', () => {
  const led = lead(ask('chat', scenarios['a chat with calls'], { ability }));
  led.at(0, { type: 'begin' });
  led.at(0, { type: 'placed', leg: 1, member: memberId('a') });
  const asked = { path: '/v1/chat/completions', body: '{"return_token_ids":true}', streamed: true } as const;
  for (const data of parsingEngine(asked, 1).slice(0, 5)) led.item(10, 1, data);
  const types = led.at(20, { type: 'cut', resumes: true }).map(({ type }) => type);
  deepEqual(types, ['abort', 'send', 'send', 'close', 'fact']);
});
