/**
 * `late`: not ready in time. `wedged`: work, but no token. `silent`: alive, but no answer to anything. `dead`: what is left
 * of it says so by `/health`, or listens no more.
 */
export type FailureReason = 'spawn' | 'late' | 'exited' | 'wedged' | 'silent' | 'dead';

/** What the supervision reports; the node's table of facts has a row for each. `cause` is one line of the log. */
export type EngineFact =
  | { readonly fact: 'engine.adopted'; readonly pid: number | null }
  | { readonly fact: 'engine.spawned'; readonly pid: number | null }
  | { readonly fact: 'engine.restarted'; readonly restarts: number }
  | { readonly fact: 'engine.ready'; readonly afterMs: number; readonly models: string }
  | { readonly fact: 'engine.unwarmed'; readonly cause: string }
  | { readonly fact: 'engine.unsampled'; readonly cause: string }
  | {
      readonly fact: 'engine.failed';
      readonly why: FailureReason;
      readonly code: number | null;
      readonly signal: string | null;
      readonly cause: string | null;
    }
  | {
      readonly fact: 'engine.exited';
      readonly code: number | null;
      readonly signal: string | null;
      readonly cause: string | null;
    }
  | { readonly fact: 'engine.retrying'; readonly afterMs: number; readonly failures: number }
  | {
      readonly fact: 'engine.exhausted';
      readonly failures: number;
      readonly windowMs: number;
      readonly everyMs: number;
    }
  /** `left`: processes that survived SIGKILL; null when the sweep never answered. */
  | { readonly fact: 'engine.unswept'; readonly left: number | null }
  | { readonly fact: 'engine.stopping'; readonly withinMs: number }
  | { readonly fact: 'engine.stopped' };
