/**
 * What passes between the supervision, the engine's host (which spawns, asks and kills) and the node. Every order that
 * has an answer is answered by an event with the order's `life`.
 */
import type { Ability } from '../std/ability.ts';
import type { EngineFact } from './facts.ts';
import type { EngineMetrics } from './metrics.ts';

export type Model = { readonly id: string; readonly maxModelLen: number | null };

/** For the node. `cut`: end or move every stream of this engine, then say `streams.cut`. `stopped` answers `stop`. */
type Notice =
  | { readonly type: 'announce'; readonly engine: Standing }
  | { readonly type: 'cut' }
  | { readonly type: 'stopped' }
  | { readonly type: 'fact'; readonly fact: EngineFact };

export type Standing = {
  readonly phase: 'starting' | 'ready' | 'down';
  readonly models: readonly string[];
};

export type Event =
  | { readonly type: 'start' }
  | { readonly type: 'stop'; readonly withinMs: number; readonly graceful: boolean }
  /** The gateway has ended or moved every stream of this engine. */
  | { readonly type: 'streams.cut' }
  /** `pid`: null where somebody else runs the engine. */
  | { readonly type: 'adopted' | 'spawned'; readonly life: number; readonly pid: number | null }
  | { readonly type: 'adopt.none'; readonly life: number }
  /** One request was answered, and what the engine can do beyond that was found out. */
  | { readonly type: 'warmed'; readonly life: number; readonly ability: Ability }
  | {
      readonly type: 'spawn.failed' | 'warm.failed' | 'sample.failed';
      readonly life: number;
      readonly cause: string;
    }
  | {
      readonly type: 'probed';
      readonly life: number;
      readonly healthy: boolean;
      readonly models: readonly Model[];
    }
  | { readonly type: 'sampled'; readonly life: number; readonly metrics: EngineMetrics }
  /** It answered a request as one answers whose core is dead, or broke a connection. */
  | { readonly type: 'erred' }
  /** `isDead`: false if it is well, or does not tell. `cause`: as of an exit. */
  | {
      readonly type: 'checked';
      readonly life: number;
      readonly isDead: boolean;
      readonly cause: string | null;
    }
  | ({ readonly type: 'exited'; readonly life: number } & Exit)
  /** `left`: processes that did not die. */
  | { readonly type: 'swept'; readonly life: number; readonly left: number }
  | { readonly type: 'tick' };

/** `cause`: the line of the log that tells most. All null: it is gone, and nothing else is known. */
export type Exit = {
  readonly code: number | null;
  readonly signal: string | null;
  readonly cause: string | null;
};

/** For the engine's host. `terminate` is SIGTERM to the leader alone, `kill` SIGKILL to all of its processes. */
export type Order =
  | {
      readonly type: 'adopt' | 'spawn' | 'probe' | 'sample' | 'check' | 'terminate' | 'kill' | 'sweep';
      readonly life: number;
    }
  | { readonly type: 'warm'; readonly life: number; readonly model: string };

export type Effect = Order | Notice;
