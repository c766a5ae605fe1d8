/**
 * What a client is told other than an answer: OpenAI's error shape for our own refusals, and for the several shapes
 * that an engine has (`{"error":{…}}`, `{"error":"Unauthorized"}`, `{"detail":…}`, or no JSON at all).
 */
import type { ServerResponse } from 'node:http';
import type { Generations } from '../node/generations.ts';
import { parseObject } from '../std/json.ts';
import { complaintJson, type Complaint } from '../stream/answer.ts';
import { noRoom, type Refusal } from '../stream/refusal.ts';
import { shouldRetryHeader } from './headers.ts';

export type Reply = {
  readonly status: number;
  readonly complaint: Complaint;
  readonly headers?: Readonly<Record<string, string>>;
};

export const badRequest = (
  message: string,
  param: string | null = null,
  code: string | null = null,
): Reply => ({
  status: 400,
  complaint: { message, type: 'invalid_request_error', param, code },
});

/** RFC 9112, 3.2. */
export const hostless: Reply = badRequest('A request of HTTP/1.1 has a Host header.');

export const notFound = (path: string): Reply => ({
  status: 404,
  complaint: {
    message: `Unknown path ${path}.`,
    type: 'invalid_request_error',
    param: null,
    code: 'unknown_url',
  },
});

export const wrongMethod = (method: string, allowed: string): Reply => ({
  status: 405,
  complaint: {
    message: `Method ${method} is not allowed here.`,
    type: 'invalid_request_error',
    param: null,
    code: 'method_not_allowed',
  },
  headers: { allow: allowed },
});

export const tooLarge = (bytesMax: number): Reply => ({
  status: 413,
  complaint: {
    message: `The request body is larger than ${bytesMax} bytes.`,
    type: 'invalid_request_error',
    param: null,
    code: 'request_too_large',
  },
});

/** A client that asks before it sends reads from `accept-encoding` what it may send (RFC 9110, 15.5.16). */
export const encoded = (coding: string): Reply => ({
  status: 415,
  complaint: {
    message: `The request body has Content-Encoding ${coding}, which is not decoded here: send it plain, without that header.`,
    type: 'invalid_request_error',
    param: null,
    code: 'unsupported_content_encoding',
  },
  headers: { 'accept-encoding': 'identity' },
});

/** Ours, whatever it was: one request is lost by it, and not a node. */
export const stumbled: Reply = {
  status: 500,
  complaint: {
    message: 'The node failed to answer.',
    type: 'server_error',
    param: null,
    code: 'internal_error',
  },
  headers: {},
};

export const busy = (message: string, code: string, retryAfterMs: number): Reply => ({
  status: 503,
  complaint: { message, type: 'server_error', param: null, code },
  headers: retryAfter(retryAfterMs),
});

/** A limit of the client's key, or too many of its requests that wait, or look for the answer that they go on with. */
export const tooMany = (what: 'requests' | 'tokens' | 'places' | 'searches', retryAfterMs: number): Reply => {
  const isLimit = what === 'requests' || what === 'tokens';
  const crowd = what === 'places' ? 'requests wait for this model' : 'answers are looked for at once';
  const message = isLimit
    ? `The limit of ${what} per minute of this API key is reached.`
    : `Too many ${crowd}.`;
  const code = isLimit ? 'rate_limit_exceeded' : 'overloaded';
  return {
    status: 429,
    complaint: { message, type: 'rate_limit_error', param: null, code },
    headers: retryAfter(retryAfterMs),
  };
};

type NotOpen = Extract<ReturnType<Generations['admission']>, { readonly open: false }>;

export function notAdmitted(why: NotOpen): Reply {
  if ('lack' in why) return refused(noRoom('running answers', why.lack));
  const { reason, retryAfterMs } = why;
  return busy(`This node is ${reason} and takes no new requests.`, `node_${reason}`, retryAfterMs);
}

/** Whole seconds, at least one: a client that comes back at once helps nobody. */
const retryAfter = (ms: number): Readonly<Record<string, string>> => ({
  'retry-after': String(Math.max(1, Math.ceil(ms / 1_000))),
});

/** What generations and other requests are refused with. OpenAI's clients would ask again after any 409 and 502. */
export const refused = ({ status, complaint, retryAfterMs, isHarmful }: Refusal): Reply => ({
  ...{ status, complaint },
  headers: {
    ...(retryAfterMs === null || isHarmful === true ? { [shouldRetryHeader]: 'false' } : {}),
    ...(retryAfterMs === null ? {} : retryAfter(retryAfterMs)),
  },
});

export function reply(response: ServerResponse, { status, complaint, headers }: Reply): void {
  replyJson(response, status, complaintJson(complaint), headers);
}

export function replyJson(
  response: ServerResponse,
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...headers,
  });
  response.end(body);
}

/** How an engine's web framework says that it has no such path: that of embeddings, where the model generates. */
const noSuchPath = 'Not Found';
const notOffered: Complaint = {
  message: 'The engine of this model does not offer this endpoint.',
  type: 'invalid_request_error',
  param: null,
  code: 'unknown_url',
};

/** An engine's refusal, given back as OpenAI would put it. */
export function openAiError(status: number, body: string): string {
  const json = parseObject(body);
  const error = json?.['error'];
  if (status === 404 && json?.['detail'] === noSuchPath) return complaintJson(notOffered);
  if (typeof error === 'object' && error !== null && 'message' in error) return body;
  const message =
    typeof error === 'string'
      ? error
      : json?.['detail'] !== undefined
        ? words(json['detail'])
        : `The engine answered with status ${status}.`;
  const type = status >= 500 ? 'server_error' : 'invalid_request_error';
  return complaintJson({ message, type, param: null, code: null });
}

const words = (detail: unknown): string => (typeof detail === 'string' ? detail : JSON.stringify(detail));
