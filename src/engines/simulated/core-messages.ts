/** What the API server and its EngineCore process say to one another, over the channel that Node.js opens between them. */
import type { Pace, Report, SequenceOrder } from './scheduler.ts';

/** abort: end what runs. wait: let it finish first. keep: freeze it. */
export type PauseMode = 'abort' | 'wait' | 'keep';

export type CoreOrder =
  | { readonly type: 'add'; readonly sequences: readonly SequenceOrder[] }
  | { readonly type: 'abort'; readonly ids: readonly number[] }
  | { readonly type: 'pause'; readonly mode: PauseMode }
  | { readonly type: 'resume' }
  /** Finish what is here, abort what still comes, then exit. */
  | { readonly type: 'drain' };

export type CoreNews =
  | { readonly type: 'ready' }
  | { readonly type: 'report'; readonly report: Report }
  | { readonly type: 'paused' };

/** Given to the EngineCore process on its command line, as JSON. */
export type CoreSettings = Pace & {
  /** One step of the batch: the time between two tokens of a sequence, ms. 0: as fast as it goes. */
  readonly tokenMs: number;
  /** What loading the model takes, ms. */
  readonly startMs: number;
};
