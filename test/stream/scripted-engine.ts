/**
 * An engine in one function: given a request it returns the events that vLLM would send, token by token. Its answer is
 * a fixed list of tokens; a continuation whose carried ids are not the beginning of that list gets rubbish instead, so
 * that a wrong seam is visible. Detokenizing, stop strings, the echo of a prompt that ends inside a character, limits
 * and chunk shapes follow vLLM 0.32.
 */
import type { LegRequest } from '../../src/stream/continuation.ts';

export const eosId = 999;
export const fingerprint = 'vllm-0.32.0-c79d6f20';

export type Script = {
  readonly promptIds: readonly number[];
  readonly answer: readonly number[];
  /** Tokens in the i-th chunk; 1 where left out. */
  readonly group?: (chunk: number) => number;
  readonly id: string;
  /** It has parsers, for which chats are shown special tokens, and which leave out a text that is empty. */
  readonly parses?: boolean;
};

const words = new Map<number, string>();
const idByWord = new Map<string, number>();

/** The id of a token that says `text` whole. */
export function wordId(text: string): number {
  const known = idByWord.get(text);
  if (known !== undefined) return known;
  const id = 1_000 + words.size;
  words.set(id, text);
  idByWord.set(text, id);
  return id;
}

/** What a chat shows of the token that ends it, for its parsers, where it shows a stop string too. */
const endText = '<|im_end|>';

/** Special, and no end; its text is shown to who does not skip such tokens. */
export const specialId = 998;
export const specialText = '<|im_start|>';

/** One token a byte. */
export const byteIds = (text: string): number[] => [...Buffer.from(text)];

const bytesOf = (id: number): Buffer =>
  id === eosId || id === specialId
    ? Buffer.alloc(0)
    : id < 256
      ? Buffer.from([id])
      : Buffer.from(words.get(id) ?? '');
export const decode = (ids: readonly number[]): string => Buffer.concat(ids.map(bytesOf)).toString('utf8');

type Body = {
  readonly prompt?: readonly number[] | string;
  readonly max_tokens?: number | null;
  readonly max_completion_tokens?: number;
  readonly min_tokens?: number;
  readonly stop?: string | readonly string[];
  readonly stop_token_ids?: readonly number[];
  readonly include_stop_str_in_output?: boolean;
  readonly ignore_eos?: boolean;
  readonly skip_special_tokens?: boolean;
  readonly stream_options?: { readonly include_usage?: boolean };
  readonly add_generation_prompt?: boolean;
  readonly messages?: readonly { readonly role: string }[];
};

/** The same with the last chunk in two: what it says, and that it is the last. */
export const endApart = (payloads: readonly string[]): readonly string[] =>
  payloads.flatMap((data) => {
    const chunk = data.startsWith('{') ? (JSON.parse(data) as Partial<Chunk>) : {};
    const [choice] = chunk.choices ?? [];
    if (choice === undefined || choice.finish_reason === null) return [data];
    const words = 'text' in choice ? { text: '' } : { delta: {} };
    const said = { ...chunk, choices: [{ ...choice, finish_reason: null, stop_reason: null }] };
    const end = { ...chunk, choices: [{ ...choice, ...words, token_ids: [] }] };
    return [JSON.stringify(said), JSON.stringify(end)];
  });

type Chunk = { readonly choices: readonly { readonly finish_reason: string | null }[] };

/** The payloads of the events, in order, `[DONE]` last. */
export function respond(script: Script, request: LegRequest): string[] {
  const body = JSON.parse(request.body) as Body;
  const chat = request.path === '/v1/chat/completions';
  const promptIds = Array.isArray(body.prompt) ? (body.prompt as number[]) : script.promptIds;
  const carried = promptIds.slice(script.promptIds.length);
  const fits = carried.every((id, i) => id === script.answer[i]);
  const rest = fits ? script.answer.slice(carried.length) : byteIds('RUBBISH RUBBISH RUBBISH');
  const limit = body.max_completion_tokens ?? body.max_tokens ?? (chat ? Infinity : 16);
  const shows = body.skip_special_tokens === false || (chat && script.parses === true);
  const tokens = generate(rest, limit, { body, promptIds, chat, shows });
  return events(tokens, { script, body, chat, promptIds });
}

type Token = {
  readonly id: number;
  readonly text: string;
  readonly finish: string | null;
  readonly stopReason: string | number | null;
};

function generate(
  rest: readonly number[],
  limit: number,
  {
    body,
    promptIds,
    chat,
    shows,
  }: { body: Body; promptIds: readonly number[]; chat: boolean; shows: boolean },
): Token[] {
  const stops = typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []);
  const include = body.include_stop_str_in_output === true;
  const reach = Math.max(0, ...stops.map((stop) => stop.length - 1));
  const hold = include ? 0 : reach;
  const tokens: Token[] = [];
  // Its end only, where a stop string may have reach, and how much of that is out: an answer may be long.
  let said = '';
  let out = 0;
  // Where the prompt ends inside a character, none of it counts as shown: its text comes with the first whole one.
  let pending = decode(promptIds).endsWith('\uFFFD') ? [...promptIds] : [];
  for (const id of rest) {
    pending.push(id);
    const ends = body.stop_token_ids?.includes(id) === true;
    // vLLM shows the text of a stop token only where it would show a stop string.
    const special =
      (chat || shows) && include && id === eosId ? endText : shows && id === specialId ? specialText : '';
    const text = ends && !include ? '' : decode(pending) + special;
    const added = text.endsWith('\uFFFD') ? '' : text;
    if (added !== '') pending = [];
    said += added;
    const count = tokens.length + 1;
    const stop = count > (body.min_tokens ?? 0) ? matched(said, added, stops) : null;
    if (stop !== null) said = said.slice(0, include ? stop.end : stop.start);
    const finish = stop !== null || ends || id === eosId ? 'stop' : count === limit ? 'length' : null;
    const upTo = Math.max(out, finish === null ? said.length - hold : said.length);
    tokens.push({ id, text: said.slice(out, upTo), finish, stopReason: stop?.stop ?? (ends ? id : null) });
    if (finish !== null) break;
    const past = Math.max(0, said.length - reach);
    said = said.slice(past);
    out = upTo - past;
  }
  return tokens;
}

function matched(said: string, added: string, stops: readonly string[]) {
  for (const stop of stops) {
    const start = said.indexOf(stop, Math.max(0, said.length - added.length - stop.length + 1));
    if (added !== '' && start !== -1) return { stop, start, end: start + stop.length };
  }
  return null;
}

function events(
  tokens: readonly Token[],
  context: { script: Script; body: Body; chat: boolean; promptIds: readonly number[] },
): string[] {
  const { script, body, chat, promptIds } = context;
  const head = {
    id: script.id,
    object: chat ? 'chat.completion.chunk' : 'text_completion',
    created: 1_795_247_514,
    model: 'tiny',
  };
  const chunks: object[] = [];
  if (chat) {
    const goesOn = body.add_generation_prompt === false;
    const delta = { role: goesOn ? body.messages?.at(-1)?.role : 'assistant', content: '' };
    const choices = [{ index: 0, delta, logprobs: null, finish_reason: null }];
    chunks.push({ ...head, choices, prompt_token_ids: promptIds, prompt_text: null });
  }
  const usage = body.stream_options?.include_usage === true;
  for (let at = 0, i = 0; at < tokens.length; i++) {
    const group = tokens.slice(at, at + (script.group?.(i) ?? 1));
    const last = group.at(-1)!;
    const text = group.map((token) => token.text).join('');
    const said = chat
      ? { delta: text === '' && script.parses === true ? {} : { content: text } }
      : { text, prompt_token_ids: at === 0 ? promptIds : null };
    const choice = {
      index: 0,
      ...said,
      logprobs: null,
      finish_reason: last.finish,
      ...(chat && last.finish === null ? {} : { stop_reason: last.stopReason }),
      token_ids: group.map((token) => token.id),
    };
    const mark = last.finish !== null && !usage ? { system_fingerprint: fingerprint } : {};
    chunks.push({ ...head, choices: [choice], ...mark });
    at += group.length;
  }
  if (usage) {
    const [prompt, completion] = [promptIds.length, tokens.length];
    const counted = {
      prompt_tokens: prompt,
      total_tokens: prompt + completion,
      completion_tokens: completion,
    };
    chunks.push({ ...head, choices: [], usage: counted, system_fingerprint: fingerprint });
  }
  return [...chunks.map((chunk) => JSON.stringify(chunk)), '[DONE]'];
}
