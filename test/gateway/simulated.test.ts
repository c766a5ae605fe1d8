/**
 * The gateway before three simulated engines, real processes that die as vLLM does. What every request gets while
 * engines are killed and stopped is compared with what it got before, and with what the model must say.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { expectedContinuation } from '../../src/engines/simulated/model.ts';
import { Agent, request } from 'undici';
import { EngineProcess } from '../engines/simulated/engine-process.ts';
import { gathered } from '../stream/conversation.ts';
import { FakeCluster, until } from './fake-cluster.ts';

const tokenMs = 12;
const calling = ['--enable-auto-tool-choice', '--tool-call-parser=hermes'];
const parsing = ['--enable-scale-out', ...calling, '--reasoning-parser=qwen3', '--markup'];
const ability = {
  scaleOut: true,
  keyedByPosition: true,
  repeatable: true,
  neutralPenalties: true,
  showsSpecials: true,
};
let engines: readonly EngineProcess[] = [];
let cluster: FakeCluster;

before(async () => {
  engines = [0, 1, 2].map(() => new EngineProcess(['simulated', '--token-ms', String(tokenMs), ...parsing]));
  await Promise.all(engines.map((engine) => engine.ready()));
  const sockets = engines.map(({ socket }) => socket);
  cluster = await FakeCluster.of(3, { model: 'simulated', contextTokens: 8_192, ability, sockets });
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
  await Promise.all(engines.map((engine) => engine[Symbol.asyncDispose]()));
});

type Ask = { readonly path: string; readonly body: Record<string, unknown> };

const chat = (about: string, rest: Record<string, unknown> = {}): Ask => ({
  path: '/v1/chat/completions',
  body: {
    model: 'simulated',
    messages: [{ role: 'user', content: `Tell me about ${about}.` }],
    max_tokens: 120,
    temperature: 0,
    ignore_eos: true,
    return_token_ids: true,
    stream: true,
    stream_options: { include_usage: true },
    ...rest,
  },
});
const completion = (prompt: string, rest: Record<string, unknown> = {}): Ask => ({
  path: '/v1/completions',
  body: {
    model: 'simulated',
    prompt,
    max_tokens: 120,
    temperature: 0,
    ignore_eos: true,
    stream: true,
    ...rest,
  },
});

const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }];

const asks: readonly Ask[] = [
  ...Array.from({ length: 8 }, (_, i) => chat(`topic ${i}`)),
  chat('seeds', { temperature: 0.8, seed: 7 }),
  chat('penalties', { frequency_penalty: 0.6, logit_bias: { 40: 3 } }),
  chat('minimums', { ignore_eos: false, min_tokens: 90 }),
  chat('no stream', { stream: false, stream_options: undefined }),
  chat('no ids', { return_token_ids: false, stream_options: undefined }),
  // By which the end of a turn is drawn in the middle of it.
  chat('many ends', { logit_bias: { 2: 53 } }),
  chat('many ends in one piece', { logit_bias: { 2: 53 }, stream: false, stream_options: undefined }),
  chat('tools', { tools }),
  chat('tools and their end', { tools, ignore_eos: false, min_tokens: 90 }),
  chat('tools and many ends', { tools, logit_bias: { 2: 53 } }),
  chat('tools without ids', { tools, return_token_ids: false, stream_options: undefined }),
  chat('likelihoods', { logprobs: true, top_logprobs: 2 }),
  chat('presence', { presence_penalty: 0.5, seed: 3, temperature: 0.8 }),
  chat('a grammar', { structured_outputs: { choice: ['one two three four five six seven'.repeat(12)] } }),
  ...severalAsks(),
  completion('With an echo 世', { echo: true }),
  completion('Once upon a time 世'),
  completion('Once again', { return_token_ids: true, stream_options: { include_usage: true } }),
  completion('As a whole', { stream: false }),
];

/** Of several choices each. */
function severalAsks(): readonly Ask[] {
  const three = { n: 3, temperature: 0.8, seed: 11 };
  return [
    chat('choices', three),
    chat('choices without ids', { ...three, return_token_ids: false, stream_options: undefined }),
    chat('choices and tools', { ...three, tools, ignore_eos: false, min_tokens: 90 }),
    chat('choices and likelihoods', { ...three, logprobs: true }),
    chat('choices in one piece', { ...three, stream: false, stream_options: undefined }),
    completion('Several choices 世', { ...three, stream_options: { include_usage: true } }),
    completion('Several choices in one piece', { ...three, stream: false }),
  ];
}

const post = (
  { path, body }: Ask,
  entry: number,
  { headers, signal }: { headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<Response> =>
  fetch(cluster.get(entry).url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    signal: signal ?? null,
  });

async function answer(ask: Ask, entry: number, onHead: (ask: Ask) => void = () => {}): Promise<string> {
  const response = await post(ask, entry);
  onHead(ask);
  const text = await response.text();
  equal(response.status, 200, text);
  return text;
}

/** Goes away after so many events, and asks another node for the rest. */
async function inTwo(ask: Ask, entry: number, events: number): Promise<string> {
  const gone = new AbortController();
  const first = await post(ask, entry, { signal: gone.signal });
  const decoder = new TextDecoder();
  let had = '';
  // What is silent for long says so by comments, which are no events.
  const whole = (): readonly string[] =>
    had
      .split('\n\n')
      .slice(0, -1)
      .filter((event) => !event.startsWith(':') && !event.endsWith('data: [DONE]'));
  for await (const bytes of first.body!) {
    had += decoder.decode(bytes, { stream: true });
    if (whole().length >= events) break;
  }
  gone.abort();
  // A busy engine says several tokens in one: then there are fewer.
  const told = whole().slice(0, events);
  const last = /^id: (.*)$/m.exec(told.at(-1) ?? '')?.[1];
  ok(last !== undefined, `an event has an id: ${told.at(-1)}`);
  const rest = await post(ask, (entry + 1) % 3, { headers: { 'last-event-id': last } });
  const text = await rest.text();
  equal(rest.status, 200, text);
  return [...told, text].join('\n\n');
}

const eventsOf = (text: string): readonly string[] =>
  text
    .split('\n\n')
    .filter((event) => event !== '' && !event.startsWith(':'))
    .map((event) => event.slice(event.indexOf('data: ') + 6));

/** What a client makes of an answer; how it was cut into chunks says only how busy the engine was. */
function understood(text: string): unknown {
  if (text.startsWith('{')) {
    const { id: _, created: __, ...rest } = JSON.parse(text) as Record<string, unknown>;
    return rest;
  }
  const events = eventsOf(text);
  const { heads, ...rest } = gathered(events);
  const parts = choicesIn(events);
  if (parts.length === 1) return { ...rest, heads: heads.length, parsed: parsedIn(events) };
  // In which order they speak is chance.
  const { usage, error, done } = rest;
  const choices = parts.map((own) => ({ ...gathered(own), heads: 0, parsed: parsedIn(own) }));
  return { usage, error, done, heads: heads.length, choices };
}

/** The events of each choice. */
function choicesIn(events: readonly string[]): readonly (readonly string[])[] {
  const parts: string[][] = [];
  for (const data of events.filter((one) => one !== '[DONE]')) {
    const { choices = [] } = JSON.parse(data) as { choices?: readonly { index: number }[] };
    for (const { index } of choices) (parts[index] ??= []).push(data);
  }
  return parts;
}

/** `onHead`: of a stream it comes with its first word. */
const all = (list: readonly Ask[], onHead?: (ask: Ask) => void): Promise<readonly string[]> =>
  Promise.all(list.map((ask, i) => answer(ask, i % 3, onHead)));

/** Stop strings that the answers do contain, so that they stop somewhere in the middle. */
async function withStops(): Promise<readonly Ask[]> {
  const stopped = [2, 5, 9].map((about) => chat(`stops ${about}`));
  const texts = (await all(stopped)).map((sent) => gathered(eventsOf(sent)).text);
  return stopped.map(({ path, body }, i) => {
    const middle = Math.floor(texts[i]!.length * 0.6);
    const stop = [texts[i]!.slice(middle, middle + 7), 'never said'];
    return { path, body: { ...body, stop, include_stop_str_in_output: i === 1 } };
  });
}

type Delta = {
  readonly reasoning?: string;
  readonly tool_calls?: readonly {
    readonly function: { readonly name?: string; readonly arguments?: string };
  }[];
};

/** Reasoning, and the one call that the model makes; its id is drawn anew each time. */
function parsedIn(events: readonly string[]) {
  const deltas = events
    .filter((data) => data !== '[DONE]')
    .flatMap((data) => (JSON.parse(data) as { choices?: readonly { delta?: Delta }[] }).choices ?? [])
    .flatMap(({ delta }) => delta ?? []);
  const calls = deltas.flatMap(({ tool_calls }) => tool_calls ?? []).map((call) => call.function);
  return {
    reasoning: deltas.map(({ reasoning }) => reasoning ?? '').join(''),
    call: calls.map((said) => (said.name ?? '') + (said.arguments ?? '')).join(''),
  };
}

test('the model answers through the gateway as it must', async () => {
  const sent = await answer(
    asks.find(({ body }) => body['prompt'] === 'Once again')!,
    0,
  );
  const events = eventsOf(sent);
  const { ids, usage } = gathered(events);
  const first = JSON.parse(events[0]!) as { choices: readonly [{ prompt_token_ids: readonly number[] }] };
  deepEqual(ids, expectedContinuation({ promptIds: first.choices[0].prompt_token_ids, count: 120 }));
  equal(usage?.['completion_tokens'], 120);
});

test('[S20] several choices are told as one engine tells them that is asked for all', async () => {
  const dispatcher = new Agent({ connect: { socketPath: engines[0]!.socket } });
  const asEngineTells = async ({ path, body }: Ask): Promise<void> => {
    const asked = { method: 'POST', headers: { 'content-type': 'application/json' } } as const;
    const alone = await request(`http://engine${path}`, { ...asked, body: JSON.stringify(body), dispatcher });
    const [wanted, told] = await Promise.all([alone.body.text(), answer({ path, body }, 0)]);
    deepEqual(understood(told), understood(wanted), JSON.stringify(body));
  };
  await Promise.all(severalAsks().map(asEngineTells));
  await dispatcher.close();
  const refused = await post(chat('greedy choices', { n: 2 }), 0);
  deepEqual([refused.status, (await refused.text()).includes('n must be 1')], [400, true]);
});

test('[S30] every streamed answer goes on at another entry node, from wherever its client is', async () => {
  const streamed = [...asks.filter(({ body }) => body['stream'] === true), ...(await withStops())];
  const undisturbed = (await all(streamed)).map(understood);
  const cut = streamed.map((ask, i) => inTwo(ask, i % 3, [1, 2, 13, 40, 85][i % 5]!));
  const answers = (await Promise.all(cut)).map(understood);
  for (const [i, told] of answers.entries())
    deepEqual(told, undisturbed[i], JSON.stringify(streamed[i]?.body));
});

/** Sequences that an engine has, or has completed, less those that ever had a token: what was aborted had one too. */
async function unbegunAt({ socket }: EngineProcess): Promise<number> {
  const dispatcher = new Agent({ connect: { socketPath: socket } });
  const { body } = await request('http://engine/metrics', { dispatcher });
  const text = await body.text();
  await dispatcher.close();
  const sum = (name: string): number =>
    [...text.matchAll(new RegExp(`^vllm:${name}{.*} (\\S+)$`, 'gm'))].reduce(
      (all, [, n]) => all + Number(n),
      0,
    );
  const here = sum('num_requests_running') + sum('num_requests_waiting');
  return here + sum('request_success_total') - sum('time_to_first_token_seconds_count');
}

/** Takes longer than it takes a busy machine, or one that stands still for a while, to have all begun. */
const longer = ({ path, body }: Ask): Ask => ({ path, body: { ...body, max_tokens: 700 } });

test('every answer is the same while engines are killed and stopped', { timeout: 900_000 }, async () => {
  const every = [...asks, ...(await withStops())].map(longer);
  const undisturbed = (await all(every)).map(understood);
  const unbegun = await Promise.all(engines.map(unbegunAt));
  // Warm members are preferred where the load is known: the first who answers is not to get everything.
  for (const node of cluster.nodes) node.heard.clear();
  const streamed = every.filter(({ body }) => body['stream'] === true);
  let begun = 0;
  const disturbed = all(every, ({ body }) => (begun += body['stream'] === true ? 1 : 0));
  await until(() => begun === streamed.length, 'all have begun', 60_000);
  // What an engine has begun to say is missed by its rhythm; what it has not may wait in its queue for minutes.
  for (const [i, engine] of engines.entries())
    while ((await unbegunAt(engine)) > unbegun[i]!) await new Promise(setImmediate);
  const busy = [1, 2].map((i) => cluster.get(i).generating);
  ok(Math.min(...busy) > 2, `engines 1 and 2 run ${busy.join(' and ')}`);
  // The default end of vLLM: its streams stay open and say nothing any more. Nothing is to begin there meanwhile.
  process.kill(engines[2]!.pid, 'SIGTERM');
  while ((await engines[2]!.get('/health')).end !== 'refused') await new Promise(setImmediate);
  process.kill(-engines[1]!.pid, 'SIGKILL');
  const answers = (await disturbed).map(understood);
  for (const [i, told] of answers.entries()) deepEqual(told, undisturbed[i], JSON.stringify(every[i]?.body));
  const moved = cluster.nodes.flatMap((node) => node.named('stream.moved'));
  // Answers whose end was on its way when their engine went are whole, and move nowhere.
  ok(moved.length > (busy[0]! + busy[1]!) / 2, `${moved.length} of ${busy.join(' and ')} moved`);
  const ways = new Set(moved.map((fact) => fact['way']));
  for (const way of ['derender', 'ids', 'replay']) ok(ways.has(way), `${way} of ${[...ways].join()}`);
  // Who is made again is silent for as long as what was told of it takes; none waited as what has not begun may.
  const stalls = moved.map(({ way, tokens, stallMs }) => [
    Number(stallMs),
    way === 'replay' ? Number(tokens) * tokenMs : 0,
  ]);
  ok(
    stalls.every(([ms, againMs]) => ms! - againMs! < 40_000),
    `stalls ${stalls.join('  ')}`,
  );
});
