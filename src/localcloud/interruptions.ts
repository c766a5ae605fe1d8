/**
 * What AWS announces to an instance, and when it is carried out.
 *
 *   untouched ──► at risk (rebalance recommendation) ──► noticed (spot/instance-action) ──deadline──► reclaimed
 *        └─────────────────────────────────────────────────────┘      └────── no notice at all ──────────┘
 *
 * The recommendation has no end and no cancellation: AWS knows none. A notice, once given, is never taken back and
 * never moves. With `reclaims: false` the deadline passes and nothing happens, the notice staying where it is: AWS
 * does that too when it fails to terminate an instance.
 *
 * Source: EC2 user guide, "Spot Instance interruption notices" and "EC2 instance rebalance recommendations". Tests
 * there use two minutes; here the caller says how long.
 */
import { unreachable } from '../std/assert.ts';
import { after, earliest, never, wallTime, type Instant, type WallTime } from '../std/time.ts';

type SpotAction = 'terminate' | 'stop' | 'hibernate';

export type Order = {
  readonly action: SpotAction;
  /** From the notice to the end, ms; 0: the end comes without any notice. */
  readonly noticeMs: number;
  /** A rebalance recommendation now, and the notice this much later, ms; null: none. */
  readonly rebalanceFirstMs: number | null;
  readonly reclaims: boolean;
};

export type Plan = {
  readonly rebalanceAt: WallTime | null;
  readonly stage:
    | { readonly phase: 'at-risk' }
    | { readonly phase: 'awaiting-notice'; readonly order: Order; readonly noticeAt: Instant }
    | {
        readonly phase: 'noticed';
        readonly action: SpotAction;
        readonly time: WallTime;
        /** Infinite once it has passed without effect. */
        readonly deadline: Instant;
        readonly reclaims: boolean;
      };
};

export type Interruptions = {
  /** Wall time minus monotonic time, kept current by the shell: a laptop's clock is set, and sleeps. */
  wallOffset: number;
  readonly plans: Map<string, Plan>;
};

export type InterruptionEvent =
  | { readonly type: 'recommend-rebalance'; readonly id: string }
  | { readonly type: 'interrupt'; readonly id: string; readonly order: Order }
  /** The instance ended, for whatever reason. */
  | { readonly type: 'gone'; readonly id: string }
  | { readonly type: 'tick' };

export type InterruptionEffect =
  | { readonly type: 'rebalance-recommended'; readonly id: string }
  | {
      readonly type: 'noticed';
      readonly id: string;
      readonly action: SpotAction;
      readonly time: WallTime;
      readonly noticeMs: number;
    }
  | { readonly type: 'reclaim'; readonly id: string; readonly action: SpotAction };

type Step = readonly [Interruptions, readonly InterruptionEffect[]];

export const noInterruptions = (start: {
  readonly now: Instant;
  readonly wall: WallTime;
}): Interruptions => ({ wallOffset: start.wall - start.now, plans: new Map() });

/** Whether a notice was given or is on its way: a second `interrupt` changes nothing then. */
export function isCondemned(state: Interruptions, id: string): boolean {
  const phase = state.plans.get(id)?.stage.phase;
  return phase === 'awaiting-notice' || phase === 'noticed';
}

export function step(state: Interruptions, event: InterruptionEvent, now: Instant): Step {
  switch (event.type) {
    case 'recommend-rebalance':
      return recommend(state, event.id, now);
    case 'interrupt':
      return interrupt(state, event, now);
    case 'gone':
      state.plans.delete(event.id);
      return [state, []];
    case 'tick':
      return [state, [...state.plans].flatMap(([id, plan]) => due(state, { id, plan }, now))];
    default:
      return unreachable(event);
  }
}

export const deadline = (state: Interruptions): Instant =>
  earliest(never, ...Array.from(state.plans.values(), ({ stage }) => stageEndsAt(stage)));

function recommend(state: Interruptions, id: string, now: Instant): Step {
  if (state.plans.has(id)) return [state, []];
  state.plans.set(id, { rebalanceAt: wallAt(state, now), stage: { phase: 'at-risk' } });
  return [state, [{ type: 'rebalance-recommended', id }]];
}

function interrupt(state: Interruptions, { id, order }: { id: string; order: Order }, now: Instant): Step {
  if (isCondemned(state, id)) return [state, []];
  const known = state.plans.get(id)?.rebalanceAt ?? null;
  if (order.rebalanceFirstMs === null) return notice(state, { id, order, rebalanceAt: known }, now);
  const stage = { phase: 'awaiting-notice', order, noticeAt: after(now, order.rebalanceFirstMs) } as const;
  state.plans.set(id, { rebalanceAt: known ?? wallAt(state, now), stage });
  return [state, known === null ? [{ type: 'rebalance-recommended', id }] : []];
}

function notice(
  state: Interruptions,
  given: { readonly id: string; readonly order: Order; readonly rebalanceAt: WallTime | null },
  now: Instant,
): Step {
  const { id, order, rebalanceAt } = given;
  const { action, noticeMs, reclaims } = order;
  if (noticeMs === 0) {
    state.plans.delete(id);
    return [state, reclaims ? [{ type: 'reclaim', id, action }] : []];
  }
  const end = after(now, noticeMs);
  const time = wallAt(state, end);
  state.plans.set(id, { rebalanceAt, stage: { phase: 'noticed', action, time, deadline: end, reclaims } });
  return [state, [{ type: 'noticed', id, action, time, noticeMs }]];
}

function due(
  state: Interruptions,
  { id, plan }: { id: string; plan: Plan },
  now: Instant,
): readonly InterruptionEffect[] {
  const { stage } = plan;
  if (stageEndsAt(stage) > now) return [];
  if (stage.phase === 'awaiting-notice')
    return notice(state, { id, order: stage.order, rebalanceAt: plan.rebalanceAt }, now)[1];
  if (stage.phase !== 'noticed') return [];
  state.plans.set(id, { ...plan, stage: { ...stage, deadline: never } });
  return stage.reclaims ? [{ type: 'reclaim', id, action: stage.action }] : [];
}

function stageEndsAt(stage: Plan['stage']): Instant {
  switch (stage.phase) {
    case 'at-risk':
      return never;
    case 'awaiting-notice':
      return stage.noticeAt;
    case 'noticed':
      return stage.deadline;
    default:
      return unreachable(stage);
  }
}

const wallAt = (state: Interruptions, at: Instant): WallTime => wallTime(at + state.wallOffset);
