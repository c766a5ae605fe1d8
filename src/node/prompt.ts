/**
 * What of a request's body comes first in the engine's prompt, as blocks for routing: tools, then messages in order, as
 * the chat templates have them. Two requests that differ in what is not text (sampling, streaming) have the same prompt.
 * What is neither text nor ids, a picture, stands for itself by its URL or data.
 */
import { blocksOf, charactersMax, type Blocks } from '../routing/blocks.ts';
import { isObject, type Json } from '../std/json.ts';

/** Lists lie in lists: what a search found, in the result of a tool, in a message, in the conversation. */
const depthMax = 6;
/** So many are longer than what is looked at, with the spaces between them. */
const idsMax = charactersMax / 2 + 1;

export function promptOf(body: Json): Blocks {
  const salt = body['cache_salt'];
  const scope = `${String(body['model'])}\n${typeof salt === 'string' ? salt : ''}`;
  return blocksOf(scope, textsIn(body));
}

/** One generator for every endpoint: which of these fields a body has, its endpoint has decided already. */
function* textsIn(body: Json): Generator<string> {
  const tools = body['tools'];
  if (Array.isArray(tools) && tools.length > 0) yield JSON.stringify(tools);
  for (const field of ['system', 'instructions'] as const) yield* contentOf(body[field]);
  for (const field of ['messages', 'input', 'prompt'] as const) yield* contentOf(body[field]);
}

/** A text, ids, or a list of texts, messages and parts, however deep the API nests them. */
function* contentOf(value: unknown, depth = 0): Generator<string> {
  if (typeof value === 'string') yield value;
  else if (Array.isArray(value)) {
    const first: readonly unknown[] = value.length > idsMax ? value.slice(0, idsMax) : value;
    if (first.every((id) => typeof id === 'number')) yield first.join(' ');
    else if (depth <= depthMax) for (const part of value) yield* contentOf(part, depth + 1);
  } else if (isObject(value)) {
    const { role, content, text } = value;
    if (typeof role === 'string') yield role;
    if (typeof text === 'string') yield text;
    else if (content !== undefined && content !== null) yield* contentOf(content, depth + 1);
    else yield JSON.stringify(value, beginningOf);
  }
}

/** Of a picture, which is megabytes long, as much as is looked at. */
const beginningOf = (_name: string, value: unknown): unknown =>
  typeof value === 'string' && value.length > charactersMax ? value.slice(0, charactersMax) : value;
