/**
 * An engine that reasons and calls, in one function like the scripted one: its answer is a fixed list of tokens with
 * markup in it, which chat tells parsed, generate as ids, and derender parses again from any state. What a parser makes
 * of a text is a function of all ids so far, so each chunk is the difference between two of them.
 */
import type { LegRequest } from '../../src/stream/continuation.ts';
import { byteIds, decode, eosId, wordId } from './scripted-engine.ts';

export const promptIds = byteIds('weather 世?');
export const answerIds = [
  ...['<think>', 'The user', ' asks', ' about', '</think>', '\n\n', 'Let me '].map(wordId),
  ...byteIds('世é🐈'),
  ...[' see', '<call>', 'weather', '|', '{"place":', ' "Os', 'lo"}', '</call>', '<call>', 'time', '|'].map(
    wordId,
  ),
  ...['{}', '</call>'].map(wordId),
  eosId,
];

type Parse = {
  readonly reasoning: string;
  readonly content: string;
  readonly calls: readonly { readonly name: string; readonly args: string }[];
};

/** What ends inside a character, or inside the name of a call, is not told yet. */
function parse(ids: readonly number[]): Parse {
  const text = decode(ids).replace(/\uFFFD+$/, '');
  const [thought = '', ...rest] = text.replace('<think>', '').split('</think>');
  if (rest.length === 0) return { reasoning: thought, content: '', calls: [] };
  const [content = '', ...called] = rest.join('</think>').split('<call>');
  const calls = called.flatMap((call) => {
    const [name = '', args] = call.replace('</call>', '').split('|');
    return args === undefined ? [] : [{ name, args }];
  });
  return { reasoning: thought, content, calls };
}

function deltaBetween(before: Parse, now: Parse, drawn: string): Record<string, unknown> {
  const calls = now.calls.flatMap(({ name, args }, index) => {
    const known = before.calls[index];
    if (known === undefined)
      return [{ index, id: `call-${drawn}-${index}`, type: 'function', function: { name, arguments: args } }];
    return args === known.args ? [] : [{ index, function: { arguments: args.slice(known.args.length) } }];
  });
  const reasoning = now.reasoning.slice(before.reasoning.length);
  const content = now.content.slice(before.content.length);
  return {
    ...(reasoning === '' ? {} : { reasoning }),
    ...(content === '' ? {} : { content }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

type Ending = { readonly finish: string | null; readonly id: number };

/** The core: ids after those that were carried, up to the limit; rubbish where the seam is wrong. */
function generate(carried: readonly number[], limit: number): readonly Ending[] {
  const fits = carried.every((id, i) => id === answerIds[i]);
  const rest = fits ? answerIds.slice(carried.length) : byteIds('RUBBISH');
  return rest.slice(0, limit).map((id, i) => ({
    id,
    finish: id === eosId ? 'stop' : i + 1 === limit ? 'length' : null,
  }));
}

type Body = {
  readonly token_ids?: readonly number[];
  readonly max_tokens?: number;
  readonly return_token_ids?: boolean;
  readonly add_generation_prompt?: boolean;
  readonly stream_options?: { readonly include_usage?: boolean; readonly continuous_usage_stats?: boolean };
  readonly sampling_params?: { readonly max_tokens: number };
  readonly generate_chunk?: {
    readonly choices: readonly {
      readonly token_ids: readonly number[];
      readonly finish_reason: string | null;
    }[];
  };
  readonly stream_state?: { readonly output_token_ids: readonly number[] } | null;
};

/** How many tokens the n-th chunk of a chat carries, from 0 on. */
export type Sizes = (chunk: number) => number;

export const parsingEngine = (
  request: LegRequest,
  leg: number,
  sizes: Sizes = () => 1,
): readonly string[] => {
  const { path, body: text } = request;
  const body = JSON.parse(text) as Body;
  switch (path) {
    case '/v1/chat/completions':
      return chat(body, leg, sizes);
    case '/v1/chat/completions/render':
      return [
        JSON.stringify({
          ...{ request_id: 'r', token_ids: promptIds, model: 'tiny', reasoning_ended: false },
          sampling_params: {
            temperature: 0,
            ...(body.max_tokens === 16 ? {} : { max_tokens: body.max_tokens ?? 4_000 }),
            skip_special_tokens: false,
          },
        }),
      ];
    case '/inference/v1/generate':
      return [
        ...generate(body.token_ids!.slice(promptIds.length), body.sampling_params!.max_tokens).map(
          ({ id, finish }) =>
            JSON.stringify({
              ...{ request_id: `g-${leg}`, usage: null },
              choices: [{ index: 0, finish_reason: finish, stop_reason: null, token_ids: [id] }],
            }),
        ),
        '[DONE]',
      ];
    case '/v1/chat/completions/derender':
      return [derender(body, leg)];
    case '/v1/completions':
      return ['{"error":{"message":"not asked for here"}}'];
  }
};

function chat(body: Body, leg: number, sizes: Sizes): readonly string[] {
  const head = { id: `chat-${leg}`, object: 'chat.completion.chunk', created: 100 + leg, model: 'tiny' };
  const shows = body.return_token_ids === true;
  const tokens = generate([], body.max_tokens ?? 4_000);
  const opening = {
    index: 0,
    // Whose turn it is that goes on, in the one chat that opens none.
    delta: { role: body.add_generation_prompt === false ? 'user' : 'assistant', content: '' },
    logprobs: null,
    finish_reason: null,
  };
  const chunks: object[] = [
    { ...head, choices: [opening], prompt_token_ids: shows ? promptIds : null, prompt_text: null },
  ];
  const ids: number[] = [];
  for (let at = 0, chunk = 0; at < tokens.length; chunk++) {
    const told = tokens.slice(at, at + sizes(chunk));
    at += told.length;
    const { finish } = told.at(-1)!;
    const before = parse(ids);
    ids.push(...told.map(({ id }) => id).filter((id) => id !== eosId));
    const now = parse(ids);
    const choice = {
      ...{ index: 0, delta: deltaBetween(before, now, String(leg)), logprobs: null },
      finish_reason: finish === 'stop' && now.calls.length > 0 ? 'tool_calls' : finish,
      ...(finish === null ? {} : { stop_reason: null }),
      token_ids: shows ? told.map(({ id }) => id) : null,
    };
    const counts = body.stream_options?.include_usage === true;
    const isCounted = counts && body.stream_options.continuous_usage_stats === true;
    chunks.push({
      ...head,
      choices: [choice],
      ...(isCounted ? { usage: usageOf(at) } : {}),
      ...(finish === null || counts ? {} : { system_fingerprint: 'f' }),
    });
  }
  if (body.stream_options?.include_usage === true) {
    chunks.push({ ...head, choices: [], usage: usageOf(tokens.length), system_fingerprint: 'f' });
  }
  return [...chunks.map((chunk) => JSON.stringify(chunk)), '[DONE]'];
}

function usageOf(completion: number): object {
  const prompt = promptIds.length;
  return { prompt_tokens: prompt, total_tokens: prompt + completion, completion_tokens: completion };
}

/** As vLLM's, it shows the text of the token that ended the turn when it is told of it. */
function derender({ generate_chunk: chunk, stream_state: state }: Body, leg: number): string {
  const [choice] = chunk!.choices;
  const earlier = state?.output_token_ids ?? [];
  const ids = [...earlier, ...choice!.token_ids];
  const told = deltaBetween(parse(earlier), parse(ids), `d${leg}`);
  const leaked = choice!.token_ids.includes(eosId) ? { content: '<|im_end|>' } : {};
  const calls = parse(ids).calls.length;
  return JSON.stringify({
    chunk: {
      ...{ id: 'g', created: 7, model: 'tiny' },
      choices: [
        {
          index: 0,
          delta: { role: state ? null : 'assistant', content: null, reasoning: null, ...told, ...leaked },
          finish_reason: choice!.finish_reason === 'stop' && calls > 0 ? 'tool_calls' : choice!.finish_reason,
        },
      ],
    },
    stream_state: { output_token_ids: ids, output_chunk_lens: ids.map(() => 1) },
  });
}
