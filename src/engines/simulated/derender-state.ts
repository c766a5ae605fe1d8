/** What the streaming derender keeps between two calls, and lets its client carry. */
import { Fields, type JsonObject } from './body.ts';
import { badRequest } from './refusal.ts';
import { verifyTokenIds } from './sampling.ts';
import { decode, glyphsOf, idOfGlyphs } from './vocabulary.ts';

/** How far the text of a choice has been told. The two offsets count tokens of `prev_tokens`. */
export type StreamState = {
  readonly prev_tokens: readonly string[];
  readonly prefix_offset: number;
  readonly read_offset: number;
  readonly role_sent: boolean;
  readonly logprob_context_token_ids: readonly number[];
  readonly logprob_text_offset: number;
  readonly output_token_ids: readonly number[];
  readonly output_chunk_lens: readonly number[];
  readonly tools_streamed: boolean;
  readonly last_tool_call_ids: readonly string[];
};

const untold: StreamState = {
  prev_tokens: [],
  prefix_offset: 0,
  read_offset: 0,
  role_sent: false,
  logprob_context_token_ids: [],
  logprob_text_offset: 0,
  output_token_ids: [],
  output_chunk_lens: [],
  tools_streamed: false,
  last_tool_call_ids: [],
};

export type TextOptions = { readonly skipSpecial: boolean };

/** Ids kept for the text of a token that completes a character. */
const contextTokens = 4;

/** The client carried it, so it is read as any other input. */
export function stateOf(body: JsonObject): StreamState {
  const given = new Fields(body).object('stream_state');
  if (given === null) return untold;
  const state = {
    prev_tokens: given.texts('prev_tokens'),
    prefix_offset: given.integer('prefix_offset') ?? 0,
    read_offset: given.integer('read_offset') ?? 0,
    role_sent: given.boolean('role_sent') ?? false,
    logprob_context_token_ids: given.integers('logprob_context_token_ids') ?? [],
    logprob_text_offset: given.integer('logprob_text_offset') ?? 0,
    output_token_ids: given.integers('output_token_ids') ?? [],
    output_chunk_lens: given.integers('output_chunk_lens') ?? [],
    tools_streamed: given.boolean('tools_streamed') ?? false,
    last_tool_call_ids: given.texts('last_tool_call_ids'),
  };
  given.verify();
  verifyTokenIds(state.logprob_context_token_ids);
  if (state.prev_tokens.some((glyphs) => idOfGlyphs(glyphs) === undefined))
    throw badRequest('stream_state.prev_tokens holds a text that is no token');
  return state;
}

/** One window of tokens moves along; what ends inside a character waits for the next call. */
export function tell(
  state: StreamState,
  ids: readonly number[],
  options: TextOptions,
): [string, StreamState] {
  const window = [...state.prev_tokens.map((glyphs) => idOfGlyphs(glyphs)!), ...ids];
  const known = decode(window.slice(state.prefix_offset, state.read_offset), options);
  const text = decode(window.slice(state.prefix_offset), options);
  const context = [...state.logprob_context_token_ids, ...ids].slice(-contextTokens);
  if (text.length <= known.length || text.endsWith('\uFFFD'))
    return ['', { ...state, prev_tokens: window.map(glyphsOf), logprob_context_token_ids: context }];
  const kept = window.slice(state.read_offset);
  const fresh = text.slice(known.length);
  return [
    fresh,
    {
      ...state,
      prev_tokens: kept.map(glyphsOf),
      prefix_offset: 0,
      read_offset: kept.length,
      logprob_context_token_ids: context,
      logprob_text_offset: state.logprob_text_offset + [...fresh].length,
    },
  ];
}
