/**
 * Token in, token out: render turns a request into ids, generate turns ids into ids, derender turns ids into the
 * answer. The way by which a chat can be carried over the loss of its node.
 */
import {
  chat,
  completion,
  eos,
  exchange,
  forced,
  idsOf,
  post,
  textOf,
  type Exchange,
  type Talk,
} from './exchange.ts';
import { shapeOf, type Json } from './shape.ts';
import { eventsOf, type Ask } from './talk.ts';
import { until } from './until.ts';

const prompt = idsOf('hello there');
const greedy = { temperature: 0, ignore_eos: true, max_tokens: 8 };
const messages = [{ role: 'user', content: 'hi the é' }];

const generate = (fields: Readonly<Record<string, unknown>> = {}, sampling: object = {}): Ask =>
  post('/inference/v1/generate', {
    token_ids: prompt,
    sampling_params: { ...greedy, ...sampling },
    ...fields,
  });
const render = (fields: Readonly<Record<string, unknown>> = {}) =>
  onPath('/v1/chat/completions/render', chat(fields));
const onPath =
  (path: string, question: (talk: Talk) => Ask) =>
  (talk: Talk): Ask => ({ ...question(talk), path });

export const scaleOut: readonly Exchange[] = (
  [
    ['render-chat', render()],
    [
      'render-chat-with-everything',
      render({
        stream: true,
        stop: ['x'],
        seed: 7,
        top_p: 0.9,
        logprobs: true,
        ...forced(eos),
        stream_options: { include_usage: true },
      }),
    ],
    ['render-chat-unknown-model', render({ model: 'nope' })],
    [
      'render-completion-two-prompts',
      onPath('/v1/completions/render', completion({ prompt: ['hello', 'the'] })),
    ],

    ['generate', generate()],
    ['generate-prompt-ids', generate({ return_token_ids: true })],
    ['generate-request-id', generate({ request_id: 'job-1' })],
    ['generate-logprobs', generate({}, { logprobs: 2 })],
    ['generate-text', generate({ output_mode: 'text' })],
    ['generate-stream', generate({ stream: true })],
    ['generate-stream-usage', generate({ stream: true, stream_options: { include_usage: true } })],
    ['generate-stream-text', generate({ stream: true, output_mode: 'text' })],
    ['generate-stream-eos', generate({ stream: true }, { ignore_eos: false, ...forced(eos) })],
    ['generate-unknown-parameter', generate({}, { frobnicate: 1 })],
    [
      'generate-beyond-context-is-clamped',
      (talk: Talk) =>
        generate(
          { token_ids: prompt },
          { max_tokens: talk.context + 1, stop_token_ids: [eos], ...stopsSoon },
        ),
    ],
    ['generate-no-ids', generate({ token_ids: [] })],
    ['generate-no-sampling-params', generate({ sampling_params: undefined })],
    ['generate-out-of-vocabulary', generate({ token_ids: [99_999] })],
    [
      'generate-prompt-beyond-context',
      (talk: Talk) => generate({ token_ids: Array.from({ length: talk.context + 4 }, () => 75) }),
    ],
    ['abort-unknown', post('/inference/v1/abort_requests', { request_ids: ['nobody'] })],
    ['openai-beside-scale-out', completion({ stream: true, return_token_ids: true })],
  ] as const
).map(([name, question]) => exchange(name, question, undefined, 'scale-out'));

const stopsSoon = forced(eos);
/** Every token has a text of its own. */
const visible = forced(idsOf('a')[0]!);

export const scaleOutStories: readonly Exchange[] = [
  { name: 'abort-by-request-id', engine: 'scale-out', play: abort },
  { name: 'render-generate-derender', engine: 'scale-out', play: roundTrip },
  { name: 'render-generate-derender-streamed', engine: 'scale-out', play: streamedRoundTrip },
  { name: 'derender-completion', engine: 'scale-out', play: completionRoundTrip },
];

/** The id it was given does nothing; the id it answers with ends it, with a chunk that says so. */
async function abort(talk: Talk): Promise<Json> {
  const call = talk.call(
    generate({ request_id: 'job-7', stream: true }, { max_tokens: talk.context - prompt.length }),
  );
  await until(() => call.sofar().length > 0, 5_000);
  await talk.ask(post('/inference/v1/abort_requests', { request_ids: ['job-7'] }));
  const before = call.sofar().length;
  const goesOn = await until(() => call.sofar().length > before + 1_000, 5_000);
  const aborted = await talk.ask(
    post('/inference/v1/abort_requests', { request_ids: ['generate-tokens-job-7'] }),
  );
  return {
    goesOnAfterItsOwnId: goesOn,
    abort: shapeOf(aborted, talk.model),
    stream: shapeOf(await call.answer, talk.model),
  };
}

type Rendered = { readonly token_ids: readonly number[] };
type Generated = { readonly choices: readonly { readonly token_ids: readonly number[] }[] };

async function rendered(talk: Talk, fields: object): Promise<Rendered & { readonly [key: string]: unknown }> {
  return JSON.parse((await talk.ask(render({ ...fields })(talk))).body) as Rendered & Record<string, unknown>;
}

async function roundTrip(talk: Talk): Promise<Json> {
  const request = await rendered(talk, {});
  const answer = await talk.ask(post('/inference/v1/generate', request));
  const derendered = await talk.ask(
    post('/v1/chat/completions/derender', {
      model: talk.model,
      generate_response: JSON.parse(answer.body) as Generated,
      prompt_tokens: request.token_ids.length,
      prompt_token_ids: request.token_ids,
      chat_request: { model: talk.model, messages },
    }),
  );
  const direct = await talk.ask(chat({ return_token_ids: true })(talk));
  type Chat = {
    readonly prompt_token_ids: readonly number[];
    readonly choices: readonly { readonly message: { readonly content: string } }[];
  };
  const [there, here] = [direct, derendered].map((one) => JSON.parse(one.body) as Chat);
  return {
    ...shapeOf(derendered, talk.model),
    facts: {
      promptIdsAreThoseOfChat: request.token_ids.join() === there?.prompt_token_ids.join(),
      contentIsThatOfChat: here?.choices[0]?.message.content === there?.choices[0]?.message.content,
    },
  };
}

/** One derender call a chunk, its state carried by us. */
async function streamedRoundTrip(talk: Talk): Promise<Json> {
  const request = await rendered(talk, { stream: true, ...visible });
  const stream = await talk.ask(post('/inference/v1/generate', request));
  const kinds: Json[] = [];
  let state: Json = null;
  let text = '';
  for (const chunk of eventsOf(stream.body).filter((event) => event !== '[DONE]')) {
    const answer = await talk.ask(
      post('/v1/chat/completions/derender', {
        stream: true,
        model: talk.model,
        generate_chunk: chunk,
        stream_state: state,
        prompt_tokens: request.token_ids.length,
        prompt_token_ids: request.token_ids,
        chat_request: { model: talk.model, messages, stream: true },
      }),
    );
    type Step = {
      readonly chunk: {
        readonly choices: readonly { readonly delta: { readonly content: string | null } }[];
      };
      readonly stream_state: Json;
    };
    const step = JSON.parse(answer.body) as Step;
    state = step.stream_state;
    text += step.chunk.choices[0]?.delta.content ?? '';
    const kind = shapeOf(answer, talk.model);
    if (JSON.stringify(kinds.at(-1)) !== JSON.stringify(kind)) kinds.push(kind);
  }
  const direct = await talk.ask(chat({ stream: true, ...visible })(talk));
  return { kinds, facts: { contentIsThatOfChat: text === textOf(direct) } };
}

async function completionRoundTrip(talk: Talk): Promise<Json> {
  const answer = await talk.ask(generate());
  const derendered = await talk.ask(
    post('/v1/completions/derender', {
      model: talk.model,
      generate_responses: [JSON.parse(answer.body) as Generated],
      prompt_tokens: prompt.length,
      prompt_token_ids: prompt,
    }),
  );
  return shapeOf(derendered, talk.model);
}
