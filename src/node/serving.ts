/**
 * What the gateway may ask of the node: who can serve, whether we admit, and who must be left alone from now on.
 * The node answers from what it knows at this instant; nothing here waits.
 */
import type { Ability } from '../std/ability.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Instant } from '../std/time.ts';
import type { Report } from './facts.ts';

/** What a member last said of its engine's queue; its own requests are in it. */
export type MemberLoad = {
  readonly running: number;
  readonly waiting: number;
  /** Share of the engine's KV cache in use, 0 to 1; absent: not told. */
  readonly kvUsage?: number | undefined;
};

/** A member whose engine is ready for a model, alive as far as we know, and not leaving. */
export type ServingMember = {
  readonly member: MemberId;
  readonly self: boolean;
  readonly zone: string;
  /** Context length in tokens; null: it has not said. */
  readonly contextTokens: number | null;
  /** null: nothing heard yet, which is not the same as idle. */
  readonly load: MemberLoad | null;
  /** A stream from there fell silent a moment ago. */
  readonly doubted: boolean;
  /** Requests that this entry node has begun there and that the reported load may not contain yet. */
  readonly unreported: number;
};

/** A model of the cluster: `ready` members answer for it now, `starting` ones will. */
export type ServedModel = {
  readonly id: string;
  readonly ready: readonly ServingMember[];
  readonly starting: number;
  /** Context length in tokens, prompt and answer together, where members differ the longest; null: none has said. */
  readonly contextTokens: number | null;
  /** What all of the ready engines can do. */
  readonly ability: Ability;
};

export type MoveReason = 'drain' | 'dead' | 'suspect' | 'silence';

export type Admission =
  | { readonly open: true }
  /** `joining`: not yet ready; `draining`: about to go. `retryAfterMs`: when asking again makes sense. */
  | { readonly open: false; readonly reason: 'joining' | 'draining'; readonly retryAfterMs: number };

export type Serving = {
  readonly self: MemberId;
  /** Where this node stands. */
  readonly zone: string;
  /** Every model that some live member serves or is about to serve. */
  models(): readonly ServedModel[];
  /**
   * One of them, or one that nobody has any more whose last members went a moment ago; null: nobody serves it. Asked
   * several times for each request, so it costs no look at the others.
   */
  model(id: string): ServedModel | null;
  /** Whether it has met enough of the others to tell that nobody serves a model. */
  isInTouch(): boolean;
  /** Whether this node takes new requests from clients. */
  admission(): Admission;
  /** Whether the local engine takes a request that another node entered. */
  engineAdmission(): Admission;
  /** Load of the local engine, as it rides on responses. null: unknown. */
  localLoad(): MemberLoad | null;
  heardLoad(member: MemberId, load: MemberLoad): void;
  /** A connection to this member failed: routing avoids it until membership has looked. */
  suspect(member: MemberId, why: string): void;
  /** A stream from this member, perhaps ourselves, fell silent: for a while everybody else is asked first. */
  doubt(member: MemberId): void;
  /**
   * The local engine answered a request by an error of its own, or broke a connection. Tells whether it is dead, perhaps
   * at once, when its health was asked after that.
   */
  engineErred(tell: (isDead: boolean) => void): void;
  /** A request of a client connected here begins; call the result once when it ends. */
  entered(): () => void;
  /** A request is sent to `member` (perhaps ourselves) from here; call the result once when that leg ends. */
  sent(member: MemberId): () => void;
  /** A generation runs on the local engine, whoever holds its client; call the result once when it ends. */
  generating(): () => void;
  /**
   * Streams on `member` must move now: it drains, or it is dead. `suspect`, `silence`: what it has not begun to answer
   * had better be asked elsewhere. Several listeners; the result unsubscribes.
   */
  onMove(listener: (member: MemberId, why: MoveReason) => void): () => void;
  /** Everything that still runs on the local engine must be cut now: it is about to stop. */
  onCut(listener: () => void): () => void;
  /** While draining: the instant at which relays of streams that entered here end. The listener hears of changes. */
  onRelayEnd(listener: (at: Instant) => void): () => void;
  readonly report: Report;
};
