/**
 * Where in an answer one event stands: how many tokens a client has with it, and a hash over all of them. The hash does
 * not depend on how tokens were cut into events, so an answer that is made again elsewhere can be held against it.
 * Events that bring no token turn the hash, so that no two events of an answer have one mark; and so does the end, whether
 * it comes with the last tokens or behind them.
 *
 * In a client's stream it is the event's id, `<stream>.<tokens>.<hash>`: what a client says to go on from there.
 */
export type Mark = { readonly tokens: number; readonly hash: number };

/** A place in a stream that this cluster numbered. */
export type Place = { readonly stream: string; readonly mark: Mark };

export const start: Mark = { tokens: 0, hash: 0x811c9dc5 };

/**
 * One event for the client. `ending`: it brings the last tokens and the end of the answer, which another engine may tell
 * apart: where the tokens alone end, and the end alone, for whoever has them.
 */
export type Said = {
  readonly data: string;
  readonly mark: Mark;
  readonly ending?: { readonly behind: Mark; readonly data: string };
};

/** No token: only its name is hashed. */
type Turn = 'opening' | 'finish' | 'usage' | 'done';
/** Beyond any token id. */
const turns: Readonly<Record<Turn, number>> = {
  opening: 0xffff_fff0,
  finish: 0xffff_fff1,
  usage: 0xffff_fff2,
  done: 0xffff_fff3,
};

export function pass({ tokens, hash }: Mark, ids: readonly number[]): Mark {
  let mixed = hash;
  for (const id of ids) mixed = mix(mixed, id);
  return { tokens: tokens + ids.length, hash: mixed };
}

/** `ends`: the answer, or this choice of it. */
export function passEvent(mark: Mark, ids: readonly number[], ends: boolean): Mark {
  const passed = pass(mark, ids);
  return ends || ids.length === 0 ? turn(passed, 'finish') : passed;
}

export const turn = ({ tokens, hash }: Mark, by: Turn): Mark => ({ tokens, hash: mix(hash, turns[by]) });

/** For what is passed on without ids: each event counts as one, by its text. */
export function passText({ tokens, hash }: Mark, text: string): Mark {
  let mixed = hash;
  for (let i = 0; i < text.length; i++) mixed = mix(mixed, text.charCodeAt(i));
  return { tokens: tokens + 1, hash: mixed };
}

/** Of an event of one choice among several: the order in which choices spoke counts. `tokens`: those that it brought. */
export const beside = (
  { tokens, hash }: Mark,
  one: { readonly choice: number; readonly tokens: number; readonly hash: number },
): Mark => ({ tokens: tokens + one.tokens, hash: mix(mix(hash, one.choice), one.hash) });

export const isSame = (a: Mark, b: Mark): boolean => a.tokens === b.tokens && a.hash === b.hash;

export const eventId = (stream: string, { tokens, hash }: Mark): string => `${stream}.${tokens}.${hex(hash)}`;

/** As `toString(16)` has it, which is slow with numbers of more than 31 bits. */
function hex(hash: number): string {
  const high = hash >>> 16;
  const low = (hash & 0xffff).toString(16);
  return high === 0 ? low : high.toString(16) + low.padStart(4, '0');
}

/** null: no id of ours. */
export function placeFrom(eventId: string): Place | null {
  const match = /^([\w-]{22,64})\.(\d{1,9})\.([0-9a-f]{1,8})$/.exec(eventId);
  if (match === null) return null;
  return { stream: match[1]!, mark: { tokens: Number(match[2]), hash: Number.parseInt(match[3]!, 16) } };
}

/** One round of murmur3's finalizer: every bit of the hash depends on every token before it. */
function mix(hash: number, value: number): number {
  let mixed = Math.imul((hash ^ value) + 0x9e3779b9, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
