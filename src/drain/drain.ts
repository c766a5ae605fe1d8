/**
 * How a node goes. Every cause (interruption notice, lifecycle hook, maintenance, signal, operator) ends in the one
 * drain with the one deadline: the earliest that anybody named.
 *
 *   open ──drain──► draining ──empty, or time is up──► leaving ──engine stopped, goodbye said──► left
 *
 * `draining`: peers know, admission is off, entry nodes move their generations away; what entered here is relayed.
 * `leaving`: relays are cut, the engine is stopped while the tags and the record say goodbye.
 *
 * The end is planned backwards from the deadline, so that everything fits into it together: relaying stops
 * `reserveMs` before it, and stopping the engine and saying goodbye run side by side within that reserve. (An
 * implementation that first waited 115 of 120 seconds and then began to leave could never finish.)
 */
import { assert, unreachable } from '../std/assert.ts';
import { after, earliest, instant, never, type Instant } from '../std/time.ts';

export type DrainReason = 'interruption' | 'lifecycle' | 'maintenance' | 'signal' | 'operator';

/** What is kept back at the end for stopping the engine and saying goodbye, ms; a quarter of a shorter notice. */
const reserveMsMax = 5_000;
/**
 * They get this of any notice, also of one that is over. To kill an engine and to see that nothing of it is left takes some
 * 50 ms, and one that outlives its node holds the GPU; that the node goes a second late harms nobody.
 */
const reserveMsMin = 1_000;
/** The engine's share of the reserve, and the goodbye's; the rest is for the process to exit. */
const reserveShare = 0.6;

/** generations: running on the local engine, whoever holds their client. relays: clients connected here. */
type Load = { readonly generations: number; readonly relays: number };

export type DrainState =
  | { readonly phase: 'open' }
  | {
      readonly phase: 'draining';
      readonly reason: DrainReason;
      readonly since: Instant;
      /** When the instance is gone. */
      readonly until: Instant;
      readonly cutAt: Instant;
      readonly emptyAt: Instant | null;
      /** What ran here when it was last told; null: nobody has told yet. */
      readonly load: Load | null;
    }
  | {
      readonly phase: 'leaving';
      readonly since: Instant;
      readonly until: Instant;
      /** When waiting for the two below ends, whatever they say. */
      readonly giveUpAt: Instant;
      readonly engineStopped: boolean;
      readonly goodbyeSaid: boolean;
    }
  | { readonly phase: 'left' };

export type DrainEvent =
  | { readonly type: 'drain'; readonly reason: DrainReason; readonly remainingMs: number }
  | ({ readonly type: 'load' } & Load)
  | { readonly type: 'engine.stopped' }
  | { readonly type: 'goodbye.said' }
  | { readonly type: 'tick' };

type DrainFact =
  | { readonly fact: 'drain.started'; readonly reason: DrainReason; readonly remainingMs: number }
  | { readonly fact: 'drain.advanced'; readonly reason: DrainReason; readonly remainingMs: number }
  | { readonly fact: 'drain.empty'; readonly afterMs: number }
  | ({ readonly fact: 'drain.overdue' } & Load)
  | { readonly fact: 'drain.left'; readonly afterMs: number; readonly clean: boolean };

export type DrainEffect =
  /** Tell peers and stop admitting; `relayUntil` is when relays will be cut. Repeated when the deadline moves. */
  | {
      readonly type: 'announce';
      readonly reason: DrainReason;
      readonly until: Instant;
      readonly relayUntil: Instant;
    }
  | { readonly type: 'cut-relays' }
  | { readonly type: 'stop-engine'; readonly withinMs: number }
  | { readonly type: 'say-goodbye'; readonly withinMs: number }
  | { readonly type: 'exit' }
  | { readonly type: 'fact'; readonly fact: DrainFact };

type Draining = Extract<DrainState, { phase: 'draining' }>;
type Step = readonly [DrainState, readonly DrainEffect[]];

export const initial: DrainState = { phase: 'open' };

export function step(state: DrainState, event: DrainEvent, now: Instant): Step {
  switch (event.type) {
    case 'drain':
      return onDrain(state, event, now);
    case 'load':
      return onLoad(state, event, now);
    case 'engine.stopped':
      return state.phase === 'leaving' ? leave({ ...state, engineStopped: true }, now) : [state, []];
    case 'goodbye.said':
      return state.phase === 'leaving' ? leave({ ...state, goodbyeSaid: true }, now) : [state, []];
    case 'tick':
      return onTick(state, now);
    default:
      return unreachable(event);
  }
}

export function deadline(state: DrainState): Instant {
  if (state.phase === 'draining') return state.cutAt;
  return state.phase === 'leaving' ? state.giveUpAt : never;
}

/** Idempotent: a second cause never postpones the end and never starts anything twice. */
function onDrain(
  state: DrainState,
  { reason, remainingMs }: { reason: DrainReason; remainingMs: number },
  now: Instant,
): Step {
  assert(remainingMs >= 0, 'a deadline in the past is given as zero remaining time');
  const until = after(now, remainingMs);
  if (state.phase === 'open') {
    const cutAt = instant(until - reserve(remainingMs));
    return [
      { phase: 'draining', reason, since: now, until, cutAt, emptyAt: null, load: null },
      [
        // First, because telling it empties the node: the fact is to say what ran here.
        { type: 'fact', fact: { fact: 'drain.started', reason, remainingMs } },
        { type: 'announce', reason, until, relayUntil: cutAt },
      ],
    ];
  }
  if (state.phase !== 'draining' || until >= state.until) return [state, []];
  const cutAt = earliest(state.cutAt, instant(until - reserve(remainingMs)));
  return [
    { ...state, until, cutAt },
    [
      { type: 'announce', reason: state.reason, until, relayUntil: cutAt },
      { type: 'fact', fact: { fact: 'drain.advanced', reason, remainingMs } },
    ],
  ];
}

function onLoad(state: DrainState, { generations, relays }: Load, now: Instant): Step {
  if (state.phase !== 'draining') return [state, []];
  const effects: DrainEffect[] = [];
  let next = { ...state, load: { generations, relays } };
  if (generations === 0 && state.emptyAt === null) {
    next = { ...next, emptyAt: now };
    effects.push({ type: 'fact', fact: { fact: 'drain.empty', afterMs: now - state.since } });
  }
  if (generations === 0 && relays === 0) {
    const [left, leaving] = beginLeaving(next, now);
    return [left, [...effects, ...leaving]];
  }
  if (now < state.cutAt) return [next, effects];
  const [left, leaving] = runOut(next, now);
  return [left, [...effects, ...leaving]];
}

function onTick(state: DrainState, now: Instant): Step {
  if (state.phase === 'draining' && state.cutAt <= now) return runOut(state, now);
  if (state.phase === 'leaving' && state.giveUpAt <= now) return leave(state, now);
  return [state, []];
}

/** Time is up. What was last told to run here still does: a drain that became empty would have left. */
function runOut(state: Draining, now: Instant): Step {
  const [left, leaving] = beginLeaving(state, now);
  const overdue: readonly DrainEffect[] =
    state.load === null ? [] : [{ type: 'fact', fact: { fact: 'drain.overdue', ...state.load } }];
  return [left, [...overdue, ...leaving]];
}

function beginLeaving(state: Draining, now: Instant): Step {
  const withinMs = Math.max(reserveMsMin, Math.min(reserveMsMax, state.until - now) * reserveShare);
  const { since, until } = state;
  return [
    {
      phase: 'leaving',
      since,
      until,
      giveUpAt: after(now, withinMs),
      engineStopped: false,
      goodbyeSaid: false,
    },
    [{ type: 'cut-relays' }, { type: 'stop-engine', withinMs }, { type: 'say-goodbye', withinMs }],
  ];
}

function leave(state: Extract<DrainState, { phase: 'leaving' }>, now: Instant): Step {
  const clean = state.engineStopped && state.goodbyeSaid;
  if (!clean && now < state.giveUpAt) return [state, []];
  const fact: DrainFact = { fact: 'drain.left', afterMs: now - state.since, clean };
  return [{ phase: 'left' }, [{ type: 'fact', fact }, { type: 'exit' }]];
}

const reserve = (remainingMs: number): number =>
  Math.min(reserveMsMax, Math.max(reserveMsMin, remainingMs / 4));
