/**
 * What the client is given: chunks and whole answers in the shapes of vLLM 0.32, under the id, time and model name of
 * the first leg, whatever leg the tokens came from.
 */
import type { Json } from '../std/json.ts';
import type { Endpoint } from './chunk.ts';

/** `created`: unix time, s. */
export type Named = { readonly id: string; readonly created: number };
export type Head = Named & { readonly model: string };

const idPrefix = { chat: 'chatcmpl', completions: 'cmpl' } as const;

/** As the engine names it too, which is told the request's id in `X-Request-Id`. */
export const nameOf = (endpoint: Endpoint, requestId: string, created: number): Named => ({
  id: `${idPrefix[endpoint]}-${requestId}`,
  created,
});

type Part = {
  /** null: none, in the manner of an engine with parsers; of a chat only. */
  readonly text: string | null;
  readonly foreign: Json | null;
  /** Null: not asked for. */
  readonly ids: readonly number[] | null;
  /** Only on a completion's first chunk, when asked for. */
  readonly promptIds: readonly number[] | null;
  readonly finish: Finish | null;
  readonly fingerprint: string | null;
  readonly usage: Json | null;
};

export type Finish = { readonly reason: string; readonly stopReason: string | number | null };

export const done = '[DONE]';

const streamObject = { chat: 'chat.completion.chunk', completions: 'text_completion' } as const;
const wholeObject = { chat: 'chat.completion', completions: 'text_completion' } as const;

const headed = (endpoint: Endpoint, { id, created, model }: Head) => ({
  id,
  object: streamObject[endpoint],
  created,
  model,
});

type Opening = {
  readonly role: string;
  /** Null: not asked for, both. */
  readonly promptIds: readonly number[] | null;
  readonly usage: Json | null;
};

export const roleChunk = (head: Head, { role, promptIds, usage }: Opening): string =>
  JSON.stringify({
    ...headed('chat', head),
    choices: [{ index: 0, delta: { role, content: '' }, logprobs: null, finish_reason: null }],
    ...(usage === null ? {} : { usage }),
    prompt_token_ids: promptIds,
    prompt_text: null,
  });

/** What all chunks of one answer begin with. */
const openings = new WeakMap<Head, string>();

function openingOf(endpoint: Endpoint, head: Head): string {
  const known = openings.get(head);
  if (known !== undefined) return known;
  const opening = `${JSON.stringify(headed(endpoint, head)).slice(0, -1)},"choices":[{"index":0,`;
  openings.set(head, opening);
  return opening;
}

/** Nearly all chunks bring a text and nothing else: those are put together from texts. */
function textChunk(endpoint: Endpoint, head: Head, text: string): string {
  const told = JSON.stringify(text);
  const rest =
    endpoint === 'chat'
      ? `"delta":{"content":${told}},"logprobs":null,"finish_reason":null,"token_ids":null}]}`
      : `"text":${told},"logprobs":null,"finish_reason":null,"stop_reason":null,"prompt_token_ids":null,"token_ids":null}]}`;
  return openingOf(endpoint, head) + rest;
}

const isText = ({ foreign, ids, promptIds, finish, fingerprint, usage }: Part): boolean =>
  foreign === null &&
  ids === null &&
  promptIds === null &&
  finish === null &&
  fingerprint === null &&
  usage === null;

export function partChunk(endpoint: Endpoint, head: Head, part: Part): string {
  const { text, ids, finish } = part;
  if (text !== null && isText(part)) return textChunk(endpoint, head, text);
  const ending = { finish_reason: finish?.reason ?? null };
  const stopReason = { stop_reason: finish?.stopReason ?? null };
  const choice =
    endpoint === 'completions'
      ? {
          index: 0,
          text,
          logprobs: null,
          ...ending,
          ...stopReason,
          prompt_token_ids: part.promptIds,
          token_ids: ids,
        }
      : {
          index: 0,
          delta: deltaOf(part),
          logprobs: null,
          ...ending,
          ...(finish === null ? {} : stopReason),
          token_ids: ids,
        };
  return JSON.stringify({
    ...headed(endpoint, head),
    choices: [choice],
    ...(part.usage === null ? {} : { usage: part.usage }),
    ...(part.fingerprint === null ? {} : { system_fingerprint: part.fingerprint }),
  });
}

const deltaOf = ({ text, foreign }: Part): Json =>
  foreign === null && text !== null ? { content: text } : { ...(text && { content: text }), ...foreign };

export const usageChunk = (
  endpoint: Endpoint,
  head: Head,
  { usage, fingerprint }: { readonly usage: Json; readonly fingerprint: string | null },
): string =>
  JSON.stringify({
    ...headed(endpoint, head),
    choices: [],
    usage,
    ...(fingerprint === null ? {} : { system_fingerprint: fingerprint }),
  });

type WholeAnswer = {
  readonly role: string;
  /** null: as in a chunk. */
  readonly text: string | null;
  readonly finish: Finish;
  readonly ids: readonly number[] | null;
  readonly promptIds: readonly number[] | null;
  readonly usage: Json;
  readonly fingerprint: string | null;
};

export function wholeAnswer(endpoint: Endpoint, head: Head, answer: WholeAnswer): string {
  const { role, text, finish, ids, promptIds, usage, fingerprint } = answer;
  const ending = { finish_reason: finish.reason, stop_reason: finish.stopReason, token_ids: ids };
  const chat = endpoint === 'chat';
  const message = {
    role,
    content: text,
    refusal: null,
    annotations: null,
    audio: null,
    function_call: null,
    reasoning: null,
  };
  const choice = chat
    ? { index: 0, message, logprobs: null, ...ending, routed_experts: null }
    : {
        index: 0,
        text,
        logprobs: null,
        ...ending,
        prompt_logprobs: null,
        prompt_token_ids: promptIds,
        routed_experts: null,
      };
  return JSON.stringify({
    ...headed(endpoint, head),
    object: wholeObject[endpoint],
    choices: [choice],
    service_tier: null,
    system_fingerprint: fingerprint,
    usage: { prompt_tokens_details: null, completion_tokens_details: null, ...usage },
    ...(chat ? { prompt_logprobs: null, prompt_token_ids: promptIds, prompt_text: null } : {}),
    kv_transfer_params: null,
    ec_transfer_params: null,
    metrics: null,
  });
}

/** OpenAI's shape for what goes wrong, as a body and as an event. */
export type Complaint = {
  readonly message: string;
  readonly type: 'invalid_request_error' | 'rate_limit_error' | 'server_error';
  readonly param: string | null;
  readonly code: string | null;
};

export const complaintJson = ({ message, type, param, code }: Complaint): string =>
  JSON.stringify({ error: { message, type, param, code } });
