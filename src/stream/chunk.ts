/**
 * One server-sent event of an engine's stream, read once. Unknown fields are kept in `json`, so that what is only
 * passed on stays whole; what the journal needs is checked here and trusted after that.
 */
import { isObject, type Json, parseObject } from '../std/json.ts';

export type Endpoint = 'chat' | 'completions';

export type Choice = {
  /** What the engine added to the text; empty while a character is incomplete. */
  readonly text: string;
  /** It says no text by leaving it out, as an engine with parsers does, and not by an empty one. */
  readonly isWordless: boolean;
  /** Ids of the tokens that this chunk stands for, often one, under load several; null: the engine does not tell. */
  readonly ids: readonly number[] | null;
  readonly promptIds: readonly number[] | null;
  readonly finish: string | null;
  readonly stopReason: string | number | null;
  /** Parts of a chat delta that are neither role nor content (reasoning, tool calls); null: there are none. */
  readonly foreign: Json | null;
};

export type Chunk = {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  readonly fingerprint: string | null;
  readonly usage: Json | null;
  readonly choices: readonly Choice[];
  /** All of it, as it came. */
  readonly json: Json;
};

export type Item =
  | { readonly type: 'chunk'; readonly chunk: Chunk; readonly raw: string }
  | { readonly type: 'error'; readonly raw: string }
  | { readonly type: 'done' }
  | { readonly type: 'nonsense' };

const objectOf = (value: unknown): Json | null => (isObject(value) ? value : null);
const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null);

const isIds = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.every((id) => Number.isSafeInteger(id));
const idsOf = (value: unknown): readonly number[] | null => (isIds(value) ? value : null);

/** `data`: the payload of one event. */
export function readItem(data: string): Item {
  if (data === '[DONE]') return { type: 'done' };
  const json = parseObject(data);
  if (json === null) return { type: 'nonsense' };
  if (json['error'] !== undefined && json['error'] !== null) return { type: 'error', raw: data };
  const choices = json['choices'];
  if (!Array.isArray(choices) || !choices.every(isObject)) return { type: 'nonsense' };
  return {
    type: 'chunk',
    raw: data,
    chunk: {
      id: textOf(json['id']) ?? '',
      created: Number(json['created'] ?? 0),
      model: textOf(json['model']) ?? '',
      fingerprint: textOf(json['system_fingerprint']),
      usage: objectOf(json['usage']),
      choices: choices.map((choice) => readChoice(choice, json)),
      json,
    },
  };
}

function readChoice(choice: Json, chunk: Json): Choice {
  const delta = objectOf(choice['delta']);
  const stopReason = choice['stop_reason'];
  const text = textOf(delta === null ? choice['text'] : delta['content']);
  return {
    text: text ?? '',
    isWordless: delta !== null && text === null,
    ids: idsOf(choice['token_ids']),
    promptIds: idsOf(choice['prompt_token_ids']) ?? idsOf(chunk['prompt_token_ids']),
    finish: textOf(choice['finish_reason']),
    stopReason: typeof stopReason === 'number' ? stopReason : textOf(stopReason),
    foreign: delta === null ? null : foreignParts(delta),
  };
}

/** A loop, because it runs for every chunk and nearly always finds nothing. */
function foreignParts(delta: Json): Json | null {
  let parts: Record<string, unknown> | null = null;
  for (const name in delta) {
    if (name === 'role' || name === 'content') continue;
    const value = delta[name];
    if (value === null || (Array.isArray(value) && value.length === 0)) continue;
    parts ??= {};
    parts[name] = value;
  }
  return parts;
}
