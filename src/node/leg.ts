/**
 * One request to one engine, our own or a member's, as whoever carries it tells of it. When to give up is the
 * generation machine's decision, so a leg has no timeouts of its own, and nothing is ever retried in it.
 */
import type { MemberId } from '../std/member-id.ts';
import type { Item } from '../stream/chunk.ts';
import type { LegRequest } from '../stream/continuation.ts';
import type { MemberLoad } from './serving.ts';

/** Who is in doubt after a request that was not begun: the member itself, only its engine, or nobody, for it said why. */
type Fault = 'member' | 'engine' | null;

/** In what words a member, or the way to it, says that it takes nothing just now, and will again or is on its way out. */
const turnsAway: ReadonlySet<string> = new Set(['joining', 'draining', 'full']);

/** Of a member that was there to refuse. */
export const faultOf = (refusal: string): Fault => (turnsAway.has(refusal) ? null : 'engine');

export type LegNews =
  /** Nothing was begun there. */
  | { readonly type: 'unreached'; readonly why: string; readonly fault: Fault }
  | { readonly type: 'answered' }
  | { readonly type: 'item'; readonly item: Item }
  | { readonly type: 'answer'; readonly status: number; readonly body: string }
  /** Its engine is dead, as its node knows, and said nothing of this request, which may be what it died of. */
  | { readonly type: 'engine-dead'; readonly why: string }
  /** `crowded`: there is no room here for so large an answer, and another member would not make any. */
  | {
      readonly type: 'ended';
      readonly cause: 'eof' | 'reset' | 'nonsense' | 'crowded';
      readonly why: string;
    };

export type LegEars = {
  news(news: LegNews): void;
  /** What the answer's head said of the member's load. */
  load(load: MemberLoad): void;
};

export type Leg = {
  /** Closes the connection, which aborts the engine. Nothing is told after this. */
  abort(): void;
};

/** `headers`: what the engine gets to see. `owner`: whose part of this node's rooms it takes. null: there is no way to the member just now. */
export type OpenLeg = (
  to: {
    readonly member: MemberId;
    readonly headers: Readonly<Record<string, string>>;
    readonly owner: string;
  },
  request: LegRequest,
  ears: LegEars,
) => Leg | null;
