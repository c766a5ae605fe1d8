/**
 * One request to one engine, our own or a member's, as whoever carries it tells of it. When to give up is the
 * generation machine's decision, so a leg has no timeouts of its own, and nothing is ever retried in it.
 */
import type { MemberId } from '../std/member-id.ts';
import type { Item } from '../stream/chunk.ts';
import type { LegRequest } from '../stream/continuation.ts';
import type { MemberLoad } from './serving.ts';

export type LegNews =
  /** Never got there. `blame`: the member itself, and not only its engine, is in doubt. */
  | { readonly type: 'unreached'; readonly why: string; readonly blame: boolean }
  | { readonly type: 'answered' }
  | { readonly type: 'item'; readonly item: Item }
  | { readonly type: 'answer'; readonly status: number; readonly body: string }
  | { readonly type: 'ended'; readonly cause: 'eof' | 'reset' | 'nonsense'; readonly why: string };

export type LegEars = {
  news(news: LegNews): void;
  /** What the answer's head said of the member's load. */
  load(load: MemberLoad): void;
};

export type Leg = {
  /** Closes the connection, which aborts the engine. Nothing is told after this. */
  abort(): void;
};

/** `headers`: what the engine gets to see. null: there is no way to the member just now. */
export type OpenLeg = (
  to: { readonly member: MemberId; readonly headers: Readonly<Record<string, string>> },
  request: LegRequest,
  ears: LegEars,
) => Leg | null;
