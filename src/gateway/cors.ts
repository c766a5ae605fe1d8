/**
 * Pages in browsers may use the API when their origin is listed (Fetch standard, section 3.2). Keys go in a header and
 * never in a cookie, so credentials in the sense of CORS are never allowed, and `*` gives nothing away.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  protectedHeader,
  replicasHeader,
  requestIdHeader,
  servedByHeader,
  shouldRetryHeader,
  streamHeader,
} from './headers.ts';

/** How long a browser may remember the answer to its question, seconds. */
const maxAgeSeconds = 600;
const exposed = [
  requestIdHeader,
  servedByHeader,
  protectedHeader,
  streamHeader,
  replicasHeader,
  shouldRetryHeader,
  'retry-after',
].join(', ');

type Cors = {
  /** Sets what a browser wants to read. True: it was a browser's question only, and it is answered. */
  answers(request: IncomingMessage, response: ServerResponse): boolean;
};

/** `origins`: `*` for all; empty: no page may, and nothing is said of it. */
export function openCors(origins: readonly string[]): Cors {
  const all = origins.includes('*');
  const listed = new Set(origins);
  return {
    answers: ({ headers, method }, response) => {
      const { origin } = headers;
      if (listed.size === 0 || origin === undefined) return false;
      if (!all) response.setHeader('vary', 'origin');
      if (!all && !listed.has(origin)) return false;
      response.setHeader('access-control-allow-origin', all ? '*' : origin);
      response.setHeader('access-control-expose-headers', exposed);
      if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined) return false;
      response.setHeader('access-control-allow-methods', 'GET, POST');
      const asked = headers['access-control-request-headers'];
      if (asked !== undefined) response.setHeader('access-control-allow-headers', asked);
      response.setHeader('access-control-max-age', maxAgeSeconds);
      response.writeHead(204);
      response.end();
      return true;
    },
  };
}
