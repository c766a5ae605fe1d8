/** What the generation machine is told, and what it wants done. */
import type { MemberId } from '../std/member-id.ts';
import type { Item } from './chunk.ts';
import type { LegRequest } from './continuation.ts';
import type { LossCause } from './loss.ts';
import type { Mark, Said } from './mark.ts';
import type { Written } from './record.ts';
import type { Refusal, Unplaced } from './refusal.ts';

/** How an answer goes on when its engine is lost. */
export type Way = 'ids' | 'derender' | 'replay' | 'whole';

/**
 * Reasons of an order to move: the member leaves, or membership knows that it is gone or doubts that it is there, or a
 * stream from it fell silent.
 */
export type MoveCause = 'drain' | 'dead' | 'suspect' | 'silence';

/** `leg`: which request to an engine this is about. */
export type Event =
  | { readonly type: 'begin' }
  | { readonly type: 'placed'; readonly leg: number; readonly member: MemberId }
  | { readonly type: 'unplaced'; readonly leg: number; readonly why: Unplaced }
  /** The member was not reached, or did not admit: it knows nothing of this request. */
  | { readonly type: 'unreached'; readonly leg: number }
  /** Status 200 and a stream of events. */
  | { readonly type: 'answered'; readonly leg: number }
  | { readonly type: 'item'; readonly leg: number; readonly item: Item }
  /** Any other answer, complete. */
  | { readonly type: 'answer'; readonly leg: number; readonly status: number; readonly body: string }
  /** Its engine is dead, and said nothing of this request. */
  | { readonly type: 'engine-dead'; readonly leg: number }
  /** The answer to `ask`; status 0: there is none. */
  | { readonly type: 'told'; readonly leg: number; readonly status: number; readonly body: string }
  | { readonly type: 'ended'; readonly leg: number; readonly cause: 'eof' | 'reset' | 'nonsense' | 'crowded' }
  /** Everything on this member has to move. `elsewhere`: whether another member could take it now. */
  | {
      readonly type: 'move';
      readonly member: MemberId;
      readonly cause: MoveCause;
      readonly elsewhere: boolean;
    }
  | { readonly type: 'client-left' }
  /** This node goes and can relay no longer. `resumes`: the client goes on elsewhere by itself. */
  | { readonly type: 'cut'; readonly resumes: boolean }
  /** Another entry node goes on with it. */
  | { readonly type: 'taken' }
  /** It is not the answer that its client has the beginning of. */
  | { readonly type: 'diverged' }
  /** Something threw that was not to throw: a defect of ours. */
  | { readonly type: 'stumbled' }
  | { readonly type: 'tick' };

export type Effect =
  /** To be answered by `placed` or `unplaced`. */
  | {
      readonly type: 'open';
      readonly leg: number;
      readonly request: LegRequest;
      readonly avoid: readonly MemberId[];
      /** An earlier leg was lost: a full member is better than none. */
      readonly urgent: boolean;
    }
  /** Besides the leg, to the same member; one at a time, and dropped with the leg. To be answered by `told`. */
  | { readonly type: 'ask'; readonly leg: number; readonly request: LegRequest }
  | { readonly type: 'abort'; readonly leg: number }
  /** It fell silent under us: others are better for now. */
  | { readonly type: 'doubt'; readonly member: MemberId }
  /** To be answered by `move`, with what is true by then. */
  | { readonly type: 'ask-again'; readonly member: MemberId; readonly cause: MoveCause }
  /** For whoever may have to go on with it in our place; before the events that it stands for. */
  | { readonly type: 'log'; readonly records: readonly Written[] }
  /**
   * The payload of one event of the client's stream. `mark`: where it stands; null: in no answer, it is an error.
   * `refusal`: the same for a client of whom the answer is out, but not here.
   */
  | {
      readonly type: 'send';
      readonly data: string;
      readonly mark: Mark | null;
      readonly ending?: Said['ending'];
      readonly refusal?: Refusal;
    }
  /** The client's stream is complete. */
  | { readonly type: 'close' }
  /** The whole answer: nothing was sent before it and nothing follows. */
  | { readonly type: 'answer'; readonly status: number; readonly body: string }
  | { readonly type: 'refuse'; readonly refusal: Refusal }
  | { readonly type: 'fact'; readonly fact: StreamFact };

/** `choice`: of several that go on by themselves the one that this is about; absent: it is about the answer. */
export type StreamFact =
  | {
      readonly fact: 'stream.moved';
      readonly from: MemberId;
      readonly to: MemberId;
      readonly way: Way;
      /** Carried over; 0: the request began again. */
      readonly tokens: number;
      /** From the last word of the old engine, or from the request where it said none, to the first of the new one. */
      readonly stallMs: number;
      readonly cause: LossCause;
      readonly choice?: number;
    }
  /** A leg was left that had not said a word. `tokens`: what it was to go on from. */
  | {
      readonly fact: 'stream.unanswered';
      readonly member: MemberId;
      readonly cause: LossCause;
      readonly waitedMs: number;
      readonly tokens: number;
      readonly choice?: number;
    }
  | ({ readonly fact: 'stream.finished'; readonly durationMs: number } & Account)
  | ({ readonly fact: 'stream.failed'; readonly cause: LossCause | 'no-place' } & Account)
  | ({ readonly fact: 'stream.abandoned' } & Account)
  /** Its client goes on with it at another node, or has begun to. */
  | ({ readonly fact: 'stream.handedOver'; readonly why: 'drain' | 'taken' } & Account)
  | ({ readonly fact: 'stream.entryLost' } & Account);

/** `tokens`: of the answer as far as it got; 0 for what is passed on untouched, whose tokens nobody counts. */
export type Account = { readonly model: string; readonly tokens: number; readonly moves: number };
