/** Where the engine is in its life, and what others see of that. */
import { noAbility, type Ability } from '../std/ability.ts';
import { unreachable } from '../std/assert.ts';
import type { Rng } from '../std/random.ts';
import { after, earliest, type Instant, never } from '../std/time.ts';
import type { Budget } from './budget.ts';
import { checkAt, type Checking } from './checking.ts';
import type { Liveness } from './liveness.ts';
import type { Load } from './load.ts';
import type { Model, Standing } from './orders.ts';

export type Config = Budget & {
  /** From the spawn, or the adoption, to ready; then it is killed. Four vLLMs starting on 2 cores took 230 s. ms */
  readonly readyMs: number;
  /** Between two readiness probes, ms. */
  readonly probeMs: number;
  /** Between two looks at the metrics, ms. One costs vLLM 5 to 17 ms. */
  readonly sampleMs: number;
  /** Between two questions after its health, ms. One costs vLLM half a millisecond, under load five. */
  readonly checkMs: number;
  /** A sample unanswered for this long is lost, ms. Above the host's own timeout for it. */
  readonly answerMs: number;
  /** Work but no token, or no answer at all, for this long: dead. Above the worst prefill, ms. */
  readonly wedgedMs: number;
  /** How long the gateway may take to cut its streams before SIGTERM goes out all the same, ms. */
  readonly cutMs: number;
  /** Kept back of a stop's time for SIGKILL and sweep, ms; of a shorter stop a third. */
  readonly killMs: number;
  /** Longest wait for an adoption or a sweep, ms: a process stuck in the kernel cannot be swept. */
  readonly sweepMs: number;
};

export const defaults: Config = {
  readyMs: 300_000,
  probeMs: 500,
  sampleMs: 1_000,
  checkMs: 50,
  answerMs: 10_000,
  wedgedMs: 60_000,
  restartsMax: 5,
  windowMs: 600_000,
  backoffBaseMs: 1_000,
  backoffCapMs: 60_000,
  slowMs: 60_000,
  cutMs: 1_000,
  killMs: 1_000,
  sweepMs: 15_000,
};

type Ready = {
  readonly phase: 'ready';
  readonly models: readonly Model[];
  readonly ability: Ability;
  readonly sampleAt: Instant;
  /** A sample is on its way: reaching `sampleAt` then means that it was lost. */
  readonly asked: boolean;
  /** null: not known, which is never the same as idle. */
  readonly load: Load | null;
  readonly liveness: Liveness;
  readonly checking: Checking;
};

type Stopping = {
  readonly phase: 'stopping';
  /** When SIGTERM goes to the leader; `never` once it has gone. */
  readonly terminateAt: Instant;
  readonly killAt: Instant;
  readonly until: Instant;
};

export type Stage =
  | { readonly phase: 'absent' }
  | { readonly phase: 'adopting'; readonly until: Instant }
  | {
      readonly phase: 'starting';
      readonly since: Instant;
      readonly until: Instant;
      readonly probeAt: Instant;
    }
  | {
      readonly phase: 'warming';
      readonly since: Instant;
      readonly until: Instant;
      readonly models: readonly Model[];
    }
  | Ready
  | Stopping
  /** Waits until nothing of the engine is left, and then launches, rests or is absent. */
  | { readonly phase: 'clearing'; readonly until: Instant; readonly then: 'launch' | 'rest' | 'absent' }
  | { readonly phase: 'backoff' | 'exhausted'; readonly until: Instant };

export type StageOf<P extends Stage['phase']> = Extract<Stage, { readonly phase: P }>;

export type State = {
  readonly config: Config;
  readonly rng: Rng;
  readonly stage: Stage;
  /** Counts adoptions and spawns; an answer for another number is about an earlier engine. */
  readonly life: number;
  readonly restarts: number;
  /** Failures within the window, oldest first, bounded by the budget. */
  readonly failures: readonly Instant[];
  /** Whether it has been said that the budget is spent: once is enough. */
  readonly complained: boolean;
};

export type Status = Standing & {
  /** Context of the first model, tokens; null while not known. */
  readonly maxModelLen: number | null;
  /** None while it is not ready. */
  readonly ability: Ability;
  readonly load: Load | null;
  /** Watched time with work in hand and no token, ms: far below `wedgedMs` already no member to send more to. */
  readonly stuckMs: number;
  /** When it was asked for its metrics, as long as it has not answered; null: it owes none. */
  readonly askedAt: Instant | null;
  readonly restarts: number;
};

/** The instant by which the caller must deliver a `tick`; a late tick is harmless, a missing one is not. */
export function deadline({ stage, config }: State): Instant {
  switch (stage.phase) {
    case 'absent':
      return never;
    case 'starting':
      return earliest(stage.until, stage.probeAt);
    case 'ready':
      return earliest(stage.sampleAt, checkAt(stage.checking, config));
    case 'stopping':
      return earliest(stage.terminateAt, stage.killAt);
    case 'adopting':
    case 'warming':
    case 'clearing':
    case 'backoff':
    case 'exhausted':
      return stage.until;
    default:
      return unreachable(stage);
  }
}

export function status(state: State): Status {
  const { stage, restarts } = state;
  const ready = stage.phase === 'ready' ? stage : null;
  const maxModelLen = ready?.models[0]?.maxModelLen ?? null;
  return {
    ...standing(stage),
    maxModelLen,
    ability: ready?.ability ?? noAbility,
    load: ready?.load ?? null,
    stuckMs: ready?.liveness.stuckMs ?? 0,
    askedAt: ready?.asked === true ? after(ready.sampleAt, -state.config.answerMs) : null,
    restarts,
  };
}

/** Whether the engine is known to have nothing to do. Not knowing is not idle: a drain that trusts it loses requests. */
export const isIdle = ({ load }: Status): boolean => load !== null && load.running + load.waiting === 0;

export function standing(stage: Stage): Standing {
  switch (stage.phase) {
    case 'ready':
      return { phase: 'ready', models: stage.models.map((model) => model.id) };
    case 'adopting':
    case 'starting':
    case 'warming':
      return { phase: 'starting', models: [] };
    case 'clearing':
      return { phase: stage.then === 'launch' ? 'starting' : 'down', models: [] };
    case 'absent':
    case 'stopping':
    case 'backoff':
    case 'exhausted':
      return { phase: 'down', models: [] };
    default:
      return unreachable(stage);
  }
}
