/**
 * The life of the local engine, as of one that may lie about its health. Measured on vLLM 0.32: `/health` stays 200
 * while the engine core is wedged, a dead core ends in exit code 0, a SIGTERM during start-up is lost, a SIGKILL of
 * the leader leaves its children computing, and a SIGTERM with a stream open never ends. Hence: liveness comes from
 * token counters, every exit that was not ordered is a failure, every life ends in a sweep, and every stop has a
 * deadline of its own.
 *
 *   absent ──start──► adopting ──none──► clearing ──swept──► starting ──models──► warming ──answered──► ready
 *                        └────────────adopted─────────────────▲ ▲ │late, exited     │         wedged, silent│
 *                                                  waited─────┘ │ ▼                 ▼                       ▼
 *                                        backoff | exhausted ◄──┴─swept── clearing ◄────────────────────────┤
 *                                                            absent ◄──swept── clearing ◄── stopping ◄──stop┘
 *
 * It orders, and the engine's host obeys: the host answers with the `life` it was ordered for, so that a late answer
 * about an earlier engine changes nothing. Nothing here ends the node, however often the engine fails.
 */
import type { Ability } from '../std/ability.ts';
import { assert, unreachable } from '../std/assert.ts';
import type { Rng } from '../std/random.ts';
import { after, earliest, type Instant, never } from '../std/time.ts';
import { isSpent, pauseMs, remember } from './budget.ts';
import { checkAt, unchecked } from './checking.ts';
import type { FailureReason } from './facts.ts';
import { looked, missed, unseen } from './liveness.ts';
import { loadOf } from './load.ts';
import type { EngineMetrics } from './metrics.ts';
import type { Effect, Event, Exit, Order } from './orders.ts';
import { type Config, deadline, type Stage, standing, type StageOf, type State } from './stage.ts';

type Step = readonly [State, readonly Effect[]];

/** What `drive` needs. */
export const supervision = { step, deadline, wake: { type: 'tick' } as Event };

export function init(config: Config, rng: Rng): State {
  assert(config.wedgedMs > config.sampleMs, 'wedgedMs must exceed sampleMs');
  assert(config.readyMs > config.probeMs, 'readyMs must exceed probeMs');
  const stage: Stage = { phase: 'absent' };
  return { config, rng, stage, life: 0, restarts: 0, failures: [], complained: false };
}

/** Whatever changes the engine's standing is announced first: peers must look elsewhere before anything is killed. */
function step(state: State, event: Event, now: Instant): Step {
  const [next, effects] =
    'life' in event && event.life !== state.life ? stay(state) : move(state, event, now);
  const [before, engine] = [standing(state.stage), standing(next.stage)];
  const same = before.phase === engine.phase && before.models.join() === engine.models.join();
  return [next, same ? effects : [{ type: 'announce', engine }, ...effects]];
}

const stay = (state: State): Step => [state, []];

function move(state: State, event: Event, now: Instant): Step {
  const { stage } = state;
  switch (event.type) {
    case 'start':
      return stage.phase === 'absent' ? adopt(state, now) : stay(state);
    case 'stop':
      return stop(state, event, now);
    case 'streams.cut':
      return terminate(state);
    case 'adopted':
      return stage.phase === 'adopting' ? adopted(state, event.pid, now) : stay(state);
    case 'adopt.none':
      return stage.phase === 'adopting'
        ? clear(state, 'launch', [], after(now, state.config.sweepMs))
        : stay(state);
    case 'spawned':
      return stage.phase === 'starting' ? spawned(state, stage, event.pid, now) : stay(state);
    case 'spawn.failed':
      return stage.phase === 'starting'
        ? fail(state, 'spawn', { ...noExit, cause: event.cause }, now)
        : stay(state);
    case 'probed':
      return stage.phase === 'starting' ? probed(state, stage, event, now) : stay(state);
    case 'warmed':
      return stage.phase === 'warming' ? becomeReady(state, stage, event.ability, now) : stay(state);
    case 'warm.failed':
      return stage.phase === 'warming' ? probeAgain(state, stage, event.cause, now) : stay(state);
    case 'sampled':
      return stage.phase === 'ready' ? sampled(state, stage, event.metrics, now) : stay(state);
    case 'sample.failed':
      return stage.phase === 'ready' ? unsampled(state, stage, event.cause, now) : stay(state);
    case 'erred':
      return stage.phase === 'ready' ? doubt(state, stage, now) : stay(state);
    case 'checked':
      return stage.phase === 'ready' ? checked(state, stage, event, now) : stay(state);
    case 'exited':
      return exited(state, event, now);
    case 'swept':
      return stage.phase === 'clearing' ? cleared(state, stage.then, event.left, now) : stay(state);
    case 'tick':
      return tick(state, now);
    default:
      return unreachable(event);
  }
}

/** A fresh number for the next engine: whatever is still said about the last one is ignored from here on. */
const nextLife = (state: State, stage: Stage): State => ({ ...state, stage, life: state.life + 1 });

function adopt(state: State, now: Instant): Step {
  const next = nextLife(state, { phase: 'adopting', until: after(now, state.config.sweepMs) });
  return [next, [{ type: 'adopt', life: next.life }]];
}

function launch(state: State, now: Instant): Step {
  const until = after(now, state.config.readyMs);
  const launched = nextLife(state, { phase: 'starting', since: now, until, probeAt: never });
  const spawn: Order = { type: 'spawn', life: launched.life };
  if (state.failures.length === 0) return [launched, [spawn]];
  const restarts = state.restarts + 1;
  return [{ ...launched, restarts }, [spawn, { type: 'fact', fact: { fact: 'engine.restarted', restarts } }]];
}

function adopted(state: State, pid: number | null, now: Instant): Step {
  const until = after(now, state.config.readyMs);
  const stage: Stage = { phase: 'starting', since: now, until, probeAt: now };
  return [{ ...state, stage }, [{ type: 'fact', fact: { fact: 'engine.adopted', pid } }]];
}

function spawned(state: State, stage: StageOf<'starting'>, pid: number | null, now: Instant): Step {
  const probeAt = after(now, state.config.probeMs);
  return [
    { ...state, stage: { ...stage, probeAt } },
    [{ type: 'fact', fact: { fact: 'engine.spawned', pid } }],
  ];
}

function probe(state: State, stage: StageOf<'starting'>, now: Instant): Step {
  const probeAt = after(now, state.config.answerMs);
  return [{ ...state, stage: { ...stage, probeAt } }, [{ type: 'probe', life: state.life }]];
}

/** Ready takes more than a healthy answer: a model, and one answered request (a first short one can kill vLLM). */
function probed(
  state: State,
  stage: StageOf<'starting'>,
  { healthy, models }: Pick<Extract<Event, { type: 'probed' }>, 'healthy' | 'models'>,
  now: Instant,
): Step {
  const [first] = models;
  if (!healthy || first === undefined) {
    const probeAt = after(now, state.config.probeMs);
    return [{ ...state, stage: { ...stage, probeAt } }, []];
  }
  const { since, until } = stage;
  const warming: Stage = { phase: 'warming', since, until, models };
  return [{ ...state, stage: warming }, [{ type: 'warm', life: state.life, model: first.id }]];
}

function probeAgain(state: State, { since, until }: StageOf<'warming'>, cause: string, now: Instant): Step {
  const stage: Stage = { phase: 'starting', since, until, probeAt: after(now, state.config.probeMs) };
  return [{ ...state, stage }, [{ type: 'fact', fact: { fact: 'engine.unwarmed', cause } }]];
}

function becomeReady(
  state: State,
  { since, models }: StageOf<'warming'>,
  ability: Ability,
  now: Instant,
): Step {
  const liveness = unseen(now);
  const stage: Stage = {
    phase: 'ready',
    models,
    ability,
    sampleAt: now,
    asked: false,
    load: null,
    liveness,
    checking: unchecked,
  };
  const names = models.map((model) => model.id).join(',');
  const fact = { fact: 'engine.ready', afterMs: now - since, models: names } as const;
  return [{ ...state, stage }, [{ type: 'fact', fact }]];
}

function sampled(state: State, stage: StageOf<'ready'>, metrics: EngineMetrics, now: Instant): Step {
  const liveness = looked(stage.liveness, metrics, now, watchedGapMs(state.config));
  if (liveness.stuckMs >= state.config.wedgedMs) return fail(state, 'wedged', noExit, now);
  const load = loadOf(metrics, stage.load, now);
  const sampleAt = after(now, state.config.sampleMs);
  return [{ ...state, stage: { ...stage, load, liveness, sampleAt, asked: false } }, []];
}

/** From here on its load is unknown, which is not the same as nothing to do. */
function unsampled(state: State, stage: StageOf<'ready'>, cause: string, now: Instant): Step {
  const liveness = missed(stage.liveness, now, watchedGapMs(state.config));
  if (liveness.silentMs >= state.config.wedgedMs) return fail(state, 'silent', { ...noExit, cause }, now);
  const sampleAt = after(now, state.config.sampleMs);
  const unread = { ...stage, load: null, liveness, sampleAt, asked: false };
  const [next, asking] = doubt(state, unread, now);
  if (stage.load === null) return [next, asking];
  return [next, [{ type: 'fact', fact: { fact: 'engine.unsampled', cause } }, ...asking]];
}

/** Whatever it was, only its health tells. */
function doubt(state: State, stage: StageOf<'ready'>, now: Instant): Step {
  return check(state, { ...stage, checking: { ...stage.checking, isWanted: true } }, now);
}

function check(state: State, stage: StageOf<'ready'>, now: Instant): Step {
  const { checking } = stage;
  if (now < checkAt(checking, state.config)) return [{ ...state, stage }, []];
  const next = { askedAt: now, isUnderWay: checking.isWanted, isWanted: false };
  const effects: Effect[] = checking.isWanted ? [{ type: 'check', life: state.life }] : [];
  return [{ ...state, stage: { ...stage, checking: next } }, effects];
}

function checked(
  state: State,
  stage: StageOf<'ready'>,
  { isDead, cause }: Pick<Extract<Event, { type: 'checked' }>, 'isDead' | 'cause'>,
  now: Instant,
): Step {
  if (isDead) return fail(state, 'dead', { ...noExit, cause }, now);
  return check(state, { ...stage, checking: { ...stage.checking, isUnderWay: false } }, now);
}

const watchedGapMs = ({ sampleMs, answerMs }: Config): number => sampleMs + answerMs;

function sample(state: State, stage: StageOf<'ready'>, now: Instant): Step {
  if (stage.asked) return unsampled(state, stage, 'no answer', now);
  const sampleAt = after(now, state.config.answerMs);
  return [{ ...state, stage: { ...stage, asked: true, sampleAt } }, [{ type: 'sample', life: state.life }]];
}

const noExit: Exit = { code: null, signal: null, cause: null };

function exited(state: State, exit: Exit, now: Instant): Step {
  const { stage } = state;
  const { code, signal } = exit;
  // An end that was ordered has no cause, whatever stands last in the log.
  const isOrdered = stage.phase === 'stopping' || (stage.phase === 'clearing' && stage.then === 'absent');
  const cause = isOrdered ? null : exit.cause;
  const effects: Effect[] = [{ type: 'fact', fact: { fact: 'engine.exited', code, signal, cause } }];
  switch (stage.phase) {
    case 'starting':
    case 'warming':
    case 'ready':
      return fail(state, 'exited', exit, now);
    case 'stopping':
      return clear(state, 'absent', effects, stage.until);
    case 'absent':
    case 'adopting':
    case 'clearing':
    case 'backoff':
    case 'exhausted':
      return [state, effects];
    default:
      return unreachable(stage);
  }
}

/** Every end that nobody ordered comes here. Where the leader is gone already, the sweep finds what it left behind. */
function fail(state: State, why: FailureReason, exit: Exit, now: Instant): Step {
  const failures = remember(state.failures, state.config, now);
  const { code, signal, cause } = exit;
  const effects: Effect[] = [{ type: 'fact', fact: { fact: 'engine.failed', why, code, signal, cause } }];
  if (why !== 'exited' && why !== 'spawn') effects.push({ type: 'kill', life: state.life });
  return clear({ ...state, failures }, 'rest', effects, after(now, state.config.sweepMs));
}

/** No engine follows another before everything of the last one is gone: it may hold the GPU and the socket. */
function clear(
  state: State,
  then: StageOf<'clearing'>['then'],
  before: readonly Effect[],
  until: Instant,
): Step {
  const stage: Stage = { phase: 'clearing', until, then };
  return [{ ...state, stage }, [...before, { type: 'sweep', life: state.life }]];
}

/** `left` is null when the sweep did not answer in time: going on regardless beats waiting for ever. */
function cleared(state: State, then: StageOf<'clearing'>['then'], left: number | null, now: Instant): Step {
  const unswept: Effect[] = left === 0 ? [] : [{ type: 'fact', fact: { fact: 'engine.unswept', left } }];
  const [next, effects] =
    then === 'launch' ? launch(state, now) : then === 'rest' ? rest(state, now) : leave(state);
  return [next, [...unswept, ...effects]];
}

function rest(state: State, now: Instant): Step {
  const { config, failures } = state;
  const [pause, rng] = pauseMs(failures, config, state.rng);
  const spent = isSpent(failures, config);
  const stage: Stage = { phase: spent ? 'exhausted' : 'backoff', until: after(now, pause) };
  const next = { ...state, rng, stage, complained: spent };
  const count = failures.length;
  if (!spent) {
    return [next, [{ type: 'fact', fact: { fact: 'engine.retrying', afterMs: pause, failures: count } }]];
  }
  if (state.complained) return [next, []];
  const { windowMs, slowMs } = config;
  return [
    next,
    [{ type: 'fact', fact: { fact: 'engine.exhausted', failures: count, windowMs, everyMs: slowMs } }],
  ];
}

function leave(state: State): Step {
  const stage: Stage = { phase: 'absent' };
  return [
    { ...state, stage, failures: [], complained: false },
    [{ type: 'fact', fact: { fact: 'engine.stopped' } }, { type: 'stopped' }],
  ];
}

/**
 * Only a serving engine is asked to go: a starting one loses the SIGTERM and comes up as if nothing had been said. A
 * second stop never postpones the first.
 */
function stop(
  state: State,
  { withinMs, graceful }: { readonly withinMs: number; readonly graceful: boolean },
  now: Instant,
): Step {
  const { stage } = state;
  const until = after(now, withinMs);
  switch (stage.phase) {
    case 'absent':
      return [state, [{ type: 'stopped' }]];
    case 'backoff':
    case 'exhausted':
      return leave(state);
    case 'clearing':
      return [{ ...state, stage: { ...stage, then: 'absent', until: earliest(stage.until, until) } }, []];
    case 'adopting':
    case 'starting':
    case 'warming':
      return kill(state, until);
    case 'ready':
      return graceful ? drainOut(state, withinMs, now) : kill(state, until);
    case 'stopping':
      if (!graceful) return kill(state, earliest(stage.until, until));
      return [{ ...state, stage: sooner(stage, stopping(state.config, withinMs, now)) }, []];
    default:
      return unreachable(stage);
  }
}

function kill(state: State, until: Instant): Step {
  return clear(state, 'absent', [{ type: 'kill', life: state.life }], until);
}

/** With a stream open, vLLM answers SIGTERM with silence and never exits: the streams are cut first. */
function drainOut(state: State, withinMs: number, now: Instant): Step {
  const fact = { fact: 'engine.stopping', withinMs } as const;
  return [
    { ...state, stage: stopping(state.config, withinMs, now) },
    [{ type: 'fact', fact }, { type: 'cut' }],
  ];
}

function stopping(config: Config, withinMs: number, now: Instant): StageOf<'stopping'> {
  const graceMs = withinMs - Math.min(config.killMs, withinMs / 3);
  const terminateAt = after(now, Math.min(config.cutMs, graceMs / 2));
  return { phase: 'stopping', terminateAt, killAt: after(now, graceMs), until: after(now, withinMs) };
}

const sooner = (a: StageOf<'stopping'>, b: StageOf<'stopping'>): StageOf<'stopping'> => ({
  phase: 'stopping',
  terminateAt: a.terminateAt === never ? never : earliest(a.terminateAt, b.terminateAt),
  killAt: earliest(a.killAt, b.killAt),
  until: earliest(a.until, b.until),
});

function terminate(state: State): Step {
  const { stage } = state;
  if (stage.phase !== 'stopping' || stage.terminateAt === never) return stay(state);
  return [{ ...state, stage: { ...stage, terminateAt: never } }, [{ type: 'terminate', life: state.life }]];
}

function tick(state: State, now: Instant): Step {
  const { stage } = state;
  if (now < deadline(state)) return stay(state);
  switch (stage.phase) {
    case 'adopting':
      return clear(state, 'launch', [], after(now, state.config.sweepMs));
    case 'starting':
      return now >= stage.until ? fail(state, 'late', noExit, now) : probe(state, stage, now);
    case 'warming':
      return fail(state, 'late', noExit, now);
    case 'ready':
      return now < stage.sampleAt ? check(state, stage, now) : sample(state, stage, now);
    case 'stopping':
      return now >= stage.killAt ? kill(state, stage.until) : terminate(state);
    case 'clearing':
      return cleared(state, stage.then, null, now);
    case 'backoff':
    case 'exhausted':
      return launch(state, now);
    case 'absent':
      return stay(state);
    default:
      return unreachable(stage);
  }
}
