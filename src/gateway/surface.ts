/**
 * What of an engine's API is everybody's, besides the two endpoints whose answers outlive their engine. These are passed
 * through as they are. An engine may have some of them only, depending on its model: then it is the one to say so.
 *
 * Not here, on purpose: token-in token-out, render and derender, which the gateway uses itself; everything that changes
 * the engine or looks into it; what keeps state in one engine's memory (stored responses, the realtime socket).
 */
import type { Json } from '../std/json.ts';
import { badRequest, type Reply } from './reply.ts';

export const jsonPaths: readonly string[] = [
  ...['/v1/responses', '/v1/messages', '/v1/messages/count_tokens'],
  ...['/v1/embeddings', '/v2/embed', '/pooling', '/classify'],
  ...['/score', '/v1/score', '/rerank', '/v1/rerank', '/v2/rerank'],
  ...['/tokenize', '/detokenize'],
];

export const formPaths: readonly string[] = ['/v1/audio/transcriptions', '/v1/audio/translations'];

const generating: ReadonlySet<string> = new Set(['/v1/responses', '/v1/messages', ...formPaths]);

/** Whether a model writes the answer token by token; it costs its reading only where it does not. */
export const generates = (path: string): boolean => generating.has(path);

/** Where every node may ask every other's engine. */
export const passedPaths: readonly string[] = [...jsonPaths, ...formPaths];

/** All that a model answers. */
export const modelPaths: readonly string[] = ['/v1/chat/completions', '/v1/completions', ...passedPaths];

/** What would need an answer that some engine remembers; null: nothing. */
export function needsMemory(path: string, body: Json): Reply | null {
  if (path !== '/v1/responses') return null;
  for (const field of ['previous_response_id', 'conversation'] as const)
    if (body[field] !== undefined && body[field] !== null)
      return badRequest(`The parameter \`${field}\` is not supported: no response is stored.`, field);
  return body['background'] === true
    ? badRequest('The parameter `background` is not supported: no response is stored.', 'background')
    : null;
}
