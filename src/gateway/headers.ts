/** The headers that nodes say to one another, and those of a client that an engine gets to see. */
import { createHash, hash, randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { ApiKey } from '../node/api-key.ts';
import type { AnswerHead } from '../node/client-end.ts';
import type { About } from '../node/running.ts';
import type { MemberLoad } from '../node/serving.ts';
import { placeFrom } from '../stream/mark.ts';

/** On every answer of a node's engine: `running/waiting`, and `/percent` of its KV cache where that is known. */
export const loadHeader = 'x-synkti-load';
/** On a 503: this node does not admit, and nothing was begun. */
export const refusedHeader = 'x-synkti-refused';
/** On a 502: this node's engine is dead, or broke off before it said anything. */
export const lostHeader = 'x-synkti-lost';
export const servedByHeader = 'x-synkti-served-by';
export const protectedHeader = 'x-synkti-protected';
/** What `synkti explain stream` asks for. */
export const streamHeader = 'x-synkti-stream';
/** Members besides the entry node that had the answer's log when its head went out. */
export const replicasHeader = 'x-synkti-replicas';
/** Said by clients that go on at another node by themselves. */
const clientHeader = 'x-synkti-client';
/** By them too: how often they have asked to go on with an answer. */
const attemptHeader = 'x-synkti-attempt';
/** What OpenAI's clients go by before they look at the status. */
export const shouldRetryHeader = 'x-should-retry';
export const requestIdHeader = 'x-request-id';

/** Trace context goes along; keys, cookies and everything else stop here. */
const forwarded = ['traceparent', 'tracestate'] as const;
const requestId = /^[\x21-\x7e]{1,128}$/;
const traceContext = /^[\x20-\x7e]{1,512}$/;

export const loadToHeader = ({ running, waiting, kvUsage }: MemberLoad): string =>
  `${running}/${waiting}${kvUsage === undefined ? '' : `/${Math.round(kvUsage * 100)}`}`;

/** null: none, or none that makes sense. */
export function loadFromHeader(value: unknown): MemberLoad | null {
  const match = typeof value === 'string' ? /^(\d{1,7})\/(\d{1,7})(?:\/(\d{1,3}))?$/.exec(value) : null;
  if (match === null) return null;
  const [, running, waiting, percent] = match;
  const kvUsage = percent === undefined ? {} : { kvUsage: Math.min(1, Number(percent) / 100) };
  return { running: Number(running), waiting: Number(waiting), ...kvUsage };
}

/** The client's own id where it is fit to be logged and passed on, else a new one. */
export function requestIdOf(headers: IncomingHttpHeaders): string {
  const given = headers[requestIdHeader];
  return typeof given === 'string' && requestId.test(given) ? given : randomUUID();
}

export function engineHeaders(headers: IncomingHttpHeaders, id: string): Record<string, string> {
  const result: Record<string, string> = { [requestIdHeader]: id };
  for (const name of forwarded) {
    const value = headers[name];
    if (typeof value === 'string' && traceContext.test(value)) result[name] = value;
  }
  return result;
}

/** Anthropic's clients say which form of /v1/messages they speak. */
export function anthropicVersion({
  'anthropic-version': version,
}: IncomingHttpHeaders): Record<string, string> {
  return typeof version === 'string' && traceContext.test(version) ? { 'anthropic-version': version } : {};
}

export const answerHeaders = ({ by, protection, stream }: AnswerHead): Record<string, string> => ({
  ...(by === null ? {} : { [servedByHeader]: by }),
  [protectedHeader]: protection,
  ...(stream === null ? {} : { [streamHeader]: stream.id, [replicasHeader]: String(stream.copies) }),
});

/**
 * Who asks, and for what: only hashes of either are kept, so that an `Idempotency-Key` may be any text. OpenAI's clients
 * send `stainless-node-retry-…`.
 */
export function aboutOf(
  request: IncomingMessage,
  asked: { readonly bytes: Buffer; readonly body: { readonly stream?: unknown } },
  holder: ApiKey | null,
) {
  const { bytes, body } = asked;
  const { headers, method = '', url = '' } = request;
  const owner = holder === null ? digest(shownBy(headers)) : ownerOf(holder);
  const claim = { owner, digest: claimDigest(`${method} ${url}\n`, bytes) };
  const key = headers['idempotency-key'];
  const once = typeof key === 'string' && key !== '' && body.stream !== true;
  const stream = once ? digest(`${owner} ${key}`).slice(0, idChars) : newStream();
  const lastEventId = headers['last-event-id'];
  const from = typeof lastEventId === 'string' ? placeFrom(lastEventId) : null;
  const place = from && { ...from, attempt: attemptIn(headers) };
  return {
    ...{ claim, once, stream, place, createdAt: Math.floor(Date.now() / 1_000) },
    /** It says where it is in words that are not ours. */
    isLost: lastEventId !== undefined && place === null,
    resumes: headers[clientHeader] === '1',
  } satisfies Partial<About> & { readonly isLost: boolean };
}

const attemptNumber = /^[1-9]\d{0,5}$/;

function attemptIn({ [attemptHeader]: attempt }: IncomingHttpHeaders): number | null {
  return typeof attempt === 'string' && attemptNumber.test(attempt) ? Number(attempt) : null;
}

/** What a client of an open API proves itself by, to nobody here: in either header that a key may come in: two keys are never one owner. */
function shownBy({ authorization = '', 'x-api-key': key }: IncomingHttpHeaders): string {
  return key === undefined ? authorization : `${authorization}\n${String(key)}`;
}

/** Of base64url: 132 bits. */
const idChars = 22;

/** What nobody guesses, of 122 bits. Node.js keeps some for UUIDs in store; drawing them by themselves takes ten times as long. */
const newStream = (): string => Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url');

/** Of a key, which has many requests. */
const owners = new WeakMap<ApiKey, string>();

function ownerOf(holder: ApiKey): string {
  const known = owners.get(holder);
  if (known !== undefined) return known;
  const owner = digest(holder.sha256);
  owners.set(holder, owner);
  return owner;
}

const digest = (text: string): string => hash('sha256', text, 'base64url');

/** As of both in one text, which would have to be made, and turned into bytes again. */
const claimDigest = (line: string, body: Buffer): string =>
  createHash('sha256').update(line).update(body).digest('base64url');
