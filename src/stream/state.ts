/** What a generation machine holds from one event to the next. */
import type { MemberId } from '../std/member-id.ts';
import { never, type Instant } from '../std/time.ts';
import { carry, isOut, safeOf, tokensHeard, type Carrier } from './carrier.ts';
import type { Account, MoveCause } from './events.ts';
import type { LossCause } from './loss.ts';
import type { GenerationRequest } from './request.ts';
import { gapMsUnseen } from './rhythm.ts';
import type { Rests } from './turned-away.ts';

export type Phase =
  | { readonly phase: 'seeking'; readonly until: Instant }
  /** `member` is null only until the shell has answered `open`. */
  | {
      readonly phase: 'reaching';
      readonly member: MemberId | null;
      /** false: it has no word for us before the answer is complete. */
      readonly streamed: boolean;
      readonly answered: boolean;
      readonly since: Instant;
      readonly judgeAt: Instant;
    }
  | {
      readonly phase: 'flowing';
      readonly member: MemberId;
      readonly heardAt: Instant;
      /** Not moved by every chunk: when it is reached, the silence so far is looked at. */
      readonly judgeAt: Instant;
    }
  | { readonly phase: 'closing'; readonly judgeAt: Instant }
  | { readonly phase: 'over' };

/** Where the answer broke off, until another engine goes on with it. */
type Break = {
  readonly from: MemberId;
  readonly cause: LossCause;
  readonly since: Instant;
  readonly tokens: number;
};

export type State = {
  readonly model: string;
  readonly begunAt: Instant;
  carrier: Carrier;
  phase: Phase;
  /**
   * The stream's rhythm, ms. Kept over moves: a stream that is slow everywhere would else be taken from every engine
   * in turn.
   */
  gapMs: number;
  /** Legs that were left for their silence. */
  silences: number;
  /** The newest leg; 0 before the first. */
  leg: number;
  /** Tokens that were safe when it began. */
  carried: number;
  /** Members that failed this generation since its last new token. */
  avoid: readonly MemberId[];
  rests: Rests;
  /** It is one of several choices of which something is out: no refusal is told of it any more. */
  isBound: boolean;
  /** What its client has was told elsewhere, and here nothing was: what it ends by is still a status. */
  isMadeAgain: boolean;
  broken: Break | null;
  /** Since when a member is looked for. */
  soughtSince: Instant;
  /** An order to move that could not be followed yet. */
  ordered: { readonly member: MemberId; readonly cause: MoveCause; readonly againAt: Instant } | null;
  /** Legs that ended before the answer did, for whatever reason. */
  losses: number;
  /** Moves that another engine really went on with. */
  moves: number;
  fruitlessMoves: number;
  /** Since its last new token: how far an engine came in saying again what the client has, and how many came further. */
  caughtUp: { readonly to: number; readonly legs: number };
  /** The last refusal in an engine's own words. */
  lastAnswer: { readonly status: number; readonly body: string } | null;
};

export const init = (request: GenerationRequest, now: Instant): State => ({
  model: request.model,
  begunAt: now,
  carrier: carry(request),
  phase: { phase: 'seeking', until: never },
  gapMs: gapMsUnseen,
  silences: 0,
  leg: 0,
  carried: 0,
  avoid: [],
  rests: new Map(),
  isBound: false,
  isMadeAgain: false,
  broken: null,
  soughtSince: now,
  ordered: null,
  losses: 0,
  moves: 0,
  fruitlessMoves: 0,
  caughtUp: { to: 0, legs: 0 },
  lastAnswer: null,
});

/** `losses`: its engine was lost with the entry node that held it. */
export const resumed = (request: GenerationRequest, carrier: Carrier, now: Instant): State => ({
  ...init(request, now),
  carrier,
  losses: 1,
});

export const memberOf = ({ phase }: State): MemberId | null => ('member' in phase ? phase.member : null);

/** An engine has taken it and not been given up: whoever waits for the next word has somebody to wait for. */
export const isServed = ({ phase }: State): boolean =>
  phase.phase === 'flowing' || phase.phase === 'closing' || (phase.phase === 'reaching' && phase.answered);

/** Whether anything of it has left for a client by us. */
export const isTold = ({ carrier, isMadeAgain }: State): boolean => isOut(carrier) && !isMadeAgain;

/** Nothing of it is anywhere: an engine's refusal is still an answer to its client. */
export const isNew = ({ carrier, isBound }: State): boolean =>
  safeOf(carrier) === 0 && !isOut(carrier) && !isBound;

/**
 * Nothing of this leg has come, so nothing is lost with it; an answer in one piece may be all but made by now. Another
 * stream's silence may be a hiccup, for which none that is in the engine's queue already gives up its place.
 */
export const isUnbegun = ({ phase }: State, cause: 'suspect' | 'silence'): boolean =>
  phase.phase === 'reaching' && phase.streamed && !(cause === 'silence' && phase.answered);

export const account = ({ model, carrier, moves }: State): Account => ({
  model,
  tokens: tokensHeard(carrier),
  moves,
});
