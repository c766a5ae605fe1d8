/**
 * The life of every instance: what is due when, and what has to happen to its processes.
 *
 *   run ─► pending ─bootMs─► running ─► shutting-down ─► terminated ─visible for an hour─► forgotten
 *                              └──────► stopping ──────► stopped ────────────┘
 *
 * Two ways to shut down. Asked by a user or by Auto Scaling, the guest sees the power button: SIGTERM to the daemon,
 * and the power goes `shutdownMs` later (AWS promises no time; it is of this order). Reclaimed, failed or exited, the
 * power goes at once: SIGKILL to daemon and engine together. Hibernating is neither: everything is frozen and cut off.
 *
 * Ids appear in the API a moment after RunInstances has answered, and tags a moment after they were written (EC2's
 * eventual consistency): the lag is `lagMs`, give or take half, drawn from the seed in the state.
 */
import { assert, unreachable } from '../../std/assert.ts';
import { draw, type Rng } from '../../std/random.ts';
import { after, earliest, never, wallTime, type Instant, type WallTime } from '../../std/time.ts';
import type { Part, ProcessSignal } from './hosts.ts';
import { isUp, type Blueprint, type Cause, type Instance, type Phase } from './instance.ts';
import { written, type TagChange } from './tags.ts';

export type FleetTimings = {
  /** pending -> running, ms. */
  readonly bootMs: number;
  /** From the power button to the power going off, ms. */
  readonly shutdownMs: number;
  /** From the power going off to `terminated` or `stopped`, ms. */
  readonly settleMs: number;
  /** How long API reads may lag behind a launch or a tag write, ms, give or take half. 0: consistent. */
  readonly lagMs: number;
  /** How long DescribeInstances still shows a terminated instance, ms. */
  readonly remembersTerminatedMs: number;
};

export type Fleet = {
  readonly timings: FleetTimings;
  /** Wall time minus monotonic time, kept current by the shell: a laptop's clock is set, and sleeps. */
  wallOffset: number;
  readonly instances: Map<string, Instance>;
  rng: Rng;
};

export type FleetEvent =
  | { readonly type: 'run'; readonly blueprints: readonly Blueprint[] }
  | { readonly type: 'terminate'; readonly id: string; readonly cause: Cause }
  | { readonly type: 'stop'; readonly id: string; readonly hibernate: boolean }
  | { readonly type: 'signal'; readonly id: string; readonly part: Part; readonly signal: ProcessSignal }
  | { readonly type: 'isolate'; readonly id: string; readonly on: boolean }
  | { readonly type: 'tag'; readonly id: string; readonly change: TagChange }
  /** The daemon ended by itself; `terminates`: the instance is set to end with it. */
  | { readonly type: 'exited'; readonly id: string; readonly terminates: boolean }
  | { readonly type: 'tick' };

export type FleetEffect =
  | { readonly type: 'boot'; readonly id: string }
  | { readonly type: 'signal'; readonly id: string; readonly part: Part; readonly signal: ProcessSignal }
  | { readonly type: 'isolate'; readonly id: string; readonly on: boolean }
  | { readonly type: 'moved'; readonly id: string; readonly phase: Phase; readonly cause: Cause | null }
  | { readonly type: 'forgotten'; readonly id: string };

type Step = readonly [Fleet, readonly FleetEffect[]];

export const emptyFleet = (
  timings: FleetTimings,
  start: { readonly seed: number; readonly now: Instant; readonly wall: WallTime },
): Fleet => ({
  timings,
  wallOffset: start.wall - start.now,
  instances: new Map(),
  rng: { seed: start.seed },
});

/** Events about an instance that is unknown or past the point change nothing: callers have checked, and races exist. */
export function step(fleet: Fleet, event: FleetEvent, now: Instant): Step {
  if (event.type === 'run') return run(fleet, event.blueprints, now);
  if (event.type === 'tick') return tick(fleet, now);
  const instance = fleet.instances.get(event.id);
  if (instance === undefined) return [fleet, []];
  switch (event.type) {
    case 'terminate':
      return terminate(fleet, { instance, cause: event.cause }, now);
    case 'stop':
      return stop(fleet, { instance, hibernate: event.hibernate }, now);
    case 'signal':
      return signal(fleet, instance, event);
    case 'isolate':
      if (instance.isolated === event.on) return [fleet, []];
      return put(fleet, { ...instance, isolated: event.on }, [
        { type: 'isolate', id: instance.id, on: event.on },
      ]);
    case 'tag': {
      const visibleAt = lag(fleet, now);
      return put(fleet, { ...instance, tags: written(instance.tags, event.change, { now, visibleAt }) }, []);
    }
    case 'exited':
      return exited(fleet, { instance, terminates: event.terminates }, now);
    default:
      return unreachable(event);
  }
}

export const deadline = (fleet: Fleet): Instant =>
  earliest(never, ...Array.from(fleet.instances.values(), (instance) => instance.phaseEndsAt));

const wallOf = (fleet: Fleet, at: Instant): WallTime => wallTime(at + fleet.wallOffset);

function run(fleet: Fleet, blueprints: readonly Blueprint[], now: Instant): Step {
  for (const { tags, ...fixed } of blueprints) {
    assert(!fleet.instances.has(fixed.id), `instance ${fixed.id} is launched once`);
    const visibleAt = lag(fleet, now);
    fleet.instances.set(fixed.id, {
      ...fixed,
      launchedAt: wallOf(fleet, now),
      changedAt: wallOf(fleet, now),
      phase: 'pending',
      phaseEndsAt: after(now, fleet.timings.bootMs),
      cause: null,
      powered: true,
      visibleAt,
      tags: [{ visibleAt, tags }],
      frozen: [],
      isolated: false,
      exited: false,
    });
  }
  return [fleet, blueprints.map(({ id }) => ({ type: 'moved', id, phase: 'pending', cause: null }) as const)];
}

function terminate(fleet: Fleet, of: { instance: Instance; cause: Cause }, now: Instant): Step {
  const { instance, cause } = of;
  const asked = cause === 'user' || cause === 'group';
  if (instance.phase === 'terminated' || (instance.phase === 'shutting-down' && (asked || !instance.powered)))
    return [fleet, []];
  if (!asked || instance.phase !== 'running' || instance.exited) return powerOff(fleet, of, now);
  const next = moved(fleet, instance, { phase: 'shutting-down', cause }, now);
  return put(fleet, { ...next, phaseEndsAt: after(now, fleet.timings.shutdownMs) }, [
    { type: 'moved', id: instance.id, phase: 'shutting-down', cause },
    { type: 'signal', id: instance.id, part: 'daemon', signal: 'SIGTERM' },
  ]);
}

/** The one way in which processes end for good: daemon and engine together, nothing can object. */
function powerOff(fleet: Fleet, of: { instance: Instance; cause: Cause }, now: Instant): Step {
  const { instance, cause } = of;
  const kill: FleetEffect = { type: 'signal', id: instance.id, part: 'instance', signal: 'SIGKILL' };
  const announced = instance.phase === 'shutting-down';
  const next = announced ? instance : moved(fleet, instance, { phase: 'shutting-down', cause }, now);
  const phaseEndsAt = after(now, fleet.timings.settleMs);
  return put(fleet, { ...next, powered: false, phaseEndsAt }, [
    kill,
    ...(announced ? [] : [{ type: 'moved', id: instance.id, phase: 'shutting-down', cause } as const]),
  ]);
}

function stop(fleet: Fleet, of: { instance: Instance; hibernate: boolean }, now: Instant): Step {
  const { instance, hibernate } = of;
  if (!isUp(instance)) return [fleet, []];
  const { id } = instance;
  const next = moved(fleet, instance, { phase: 'stopping', cause: 'spot' }, now);
  const phaseEndsAt = after(now, fleet.timings.settleMs);
  const move: FleetEffect = { type: 'moved', id, phase: 'stopping', cause: 'spot' };
  if (!hibernate) {
    const kill: FleetEffect = { type: 'signal', id, part: 'instance', signal: 'SIGKILL' };
    return put(fleet, { ...next, powered: false, phaseEndsAt }, [kill, move]);
  }
  return put(fleet, { ...next, frozen: ['instance'], isolated: true, phaseEndsAt }, [
    { type: 'signal', id, part: 'instance', signal: 'SIGSTOP' },
    { type: 'isolate', id, on: true },
    move,
  ]);
}

function signal(
  fleet: Fleet,
  instance: Instance,
  order: { readonly part: Part; readonly signal: ProcessSignal },
): Step {
  if (instance.phase !== 'running') return [fleet, []];
  const { part, signal: name } = order;
  const others = part === 'instance' ? [] : instance.frozen.filter((frozen) => frozen !== part);
  const frozen = name === 'SIGSTOP' ? [...others, part] : name === 'SIGCONT' ? others : instance.frozen;
  return put(fleet, { ...instance, frozen }, [{ type: 'signal', id: instance.id, part, signal: name }]);
}

function exited(fleet: Fleet, of: { instance: Instance; terminates: boolean }, now: Instant): Step {
  const { instance, terminates } = of;
  if (!instance.powered) return [fleet, []];
  const gone = { ...instance, exited: true };
  const endsNow = instance.phase === 'shutting-down' || (terminates && isUp(instance));
  return endsNow
    ? powerOff(fleet, { instance: gone, cause: instance.cause ?? 'exit' }, now)
    : put(fleet, gone, []);
}

function tick(fleet: Fleet, now: Instant): Step {
  const due = [...fleet.instances.values()].filter((instance) => instance.phaseEndsAt <= now);
  return [fleet, due.flatMap((instance) => phaseEnded(fleet, instance, now)[1])];
}

function phaseEnded(fleet: Fleet, instance: Instance, now: Instant): Step {
  const { id, phase, cause } = instance;
  switch (phase) {
    case 'pending':
      return put(fleet, { ...moved(fleet, instance, { phase: 'running', cause }, now), phaseEndsAt: never }, [
        { type: 'moved', id, phase: 'running', cause },
        { type: 'boot', id },
      ]);
    case 'shutting-down': {
      if (instance.powered) return powerOff(fleet, { instance, cause: cause ?? 'user' }, now);
      const phaseEndsAt = after(now, fleet.timings.remembersTerminatedMs);
      const next = moved(fleet, instance, { phase: 'terminated', cause }, now);
      return put(fleet, { ...next, changedAt: instance.changedAt, phaseEndsAt }, [
        { type: 'moved', id, phase: 'terminated', cause },
      ]);
    }
    case 'stopping':
      return put(fleet, { ...moved(fleet, instance, { phase: 'stopped', cause }, now), phaseEndsAt: never }, [
        { type: 'moved', id, phase: 'stopped', cause },
      ]);
    case 'terminated':
      fleet.instances.delete(id);
      return [fleet, [{ type: 'forgotten', id }]];
    case 'running':
    case 'stopped':
      return [fleet, []];
    default:
      return unreachable(phase);
  }
}

const moved = (
  fleet: Fleet,
  instance: Instance,
  to: { readonly phase: Phase; readonly cause: Cause | null },
  now: Instant,
): Instance => ({ ...instance, ...to, changedAt: wallOf(fleet, now) });

function put(fleet: Fleet, instance: Instance, effects: readonly FleetEffect[]): Step {
  fleet.instances.set(instance.id, instance);
  return [fleet, effects];
}

/** Half to one and a half times the configured lag. */
function lag(fleet: Fleet, now: Instant): Instant {
  if (fleet.timings.lagMs === 0) return now;
  const [extra, rng] = draw(fleet.rng, fleet.timings.lagMs + 1);
  fleet.rng = rng;
  return after(now, fleet.timings.lagMs / 2 + extra);
}
