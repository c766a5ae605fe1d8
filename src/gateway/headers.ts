/** The headers that nodes say to one another, and those of a client that an engine gets to see. */
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { MemberLoad } from '../node/serving.ts';

/** On every answer of a node's engine: `running/waiting`, and `/percent` of its KV cache where that is known. */
export const loadHeader = 'x-synkti-load';
/** On a 503: this node does not admit, and nothing was begun. */
export const refusedHeader = 'x-synkti-refused';
export const servedByHeader = 'x-synkti-served-by';
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
