/**
 * The machines of the cloud put together: the fleet, the interruptions and the Auto Scaling group each decide for
 * themselves and hear of one another here; the power switch carries out what they decide.
 *
 *   interruptions ──reclaim──► fleet ──phase──► group ──terminate──► fleet
 *        └──────at risk──────────────────────────►└──────launch──────►┘
 */
import { drive, type Machine } from '../../node/drive.ts';
import type { Report } from '../../node/facts.ts';
import type { Clock } from '../../node/ports.ts';
import { assert } from '../../std/assert.ts';
import * as groups from '../autoscaling/group.ts';
import * as interruptions from '../interruptions.ts';
import { drawUp, type LaunchRequest, type Site } from './blueprints.ts';
import * as fleets from './fleet.ts';
import type { Hosts } from './hosts.ts';
import type { Blueprint, Instance } from './instance.ts';
import { openPower } from './power.ts';

export type Datacenter = {
  readonly site: Site;
  /** Zones that are down: no launches there. Changed by the operator. */
  readonly outages: Set<string>;
  fleet(): fleets.Fleet;
  interruptions(): interruptions.Interruptions;
  group(): groups.Group;
  order(event: fleets.FleetEvent): void;
  interrupt(event: interruptions.InterruptionEvent): void;
  scale(event: groups.GroupEvent): void;
  /** Ids of what was launched; null: no capacity where it was wanted. */
  launch(request: LaunchRequest & { readonly count: number }): readonly string[] | null;
  /** Decides nothing more, kills what still runs, and resolves when the hosts have done so. */
  stop(): Promise<void>;
};

type Options = {
  readonly site: Site;
  readonly hosts: Hosts;
  readonly clock: Clock;
  readonly seed: number;
  readonly timings: fleets.FleetTimings;
  readonly group: groups.GroupSettings;
  /** What the group launches. */
  readonly template: Pick<Blueprint, 'type' | 'imageId' | 'lifecycle' | 'tags'>;
  readonly report: Report;
  /** Starts the instance's processes, its metadata service before them. */
  boot(instance: Instance, signal: AbortSignal): Promise<void>;
  /** Its processes are gone for good. */
  ended(id: string): void;
};

const wake = { type: 'tick' } as const;

export function openDatacenter(options: Options): Datacenter {
  const { clock, report, seed, site } = options;
  const outages = new Set<string>();
  const start = { now: clock.now(), wall: clock.wallNow() };
  let rng = { seed: (seed ^ 0x5eed) >>> 0 };
  const failed = (instance: string, order: string, error: unknown): void =>
    report({ fact: 'cloud.host.failed', instance, order, error: messageOf(error) });
  const power = openPower({
    hosts: options.hosts,
    clock,
    launchFailed(id, error) {
      failed(id, 'launch', error);
      fleet.deliver({ type: 'terminate', id, cause: 'launch' });
    },
    report: failed,
  });

  const fleet = drive(
    onWallTime(clock, { step: fleets.step, deadline: fleets.deadline, wake }),
    fleets.emptyFleet(options.timings, { seed, ...start }),
    clock,
    onFleet,
  );
  const planned = drive(
    onWallTime(clock, { step: interruptions.step, deadline: interruptions.deadline, wake }),
    interruptions.noInterruptions(start),
    clock,
    onInterruption,
  );
  const group = drive(
    { step: groups.step, deadline: groups.deadline, wake },
    groups.emptyGroup(options.group),
    clock,
    onGroup,
  );

  function onFleet(effect: fleets.FleetEffect): void {
    if (effect.type === 'signal') return power.signal(effect.id, effect.part, effect.signal);
    if (effect.type === 'isolate') return power.isolate(effect.id, effect.on);
    if (effect.type === 'forgotten') return power.forget(effect.id);
    const instance = fleet.state().instances.get(effect.id);
    assert(instance !== undefined, 'effects are about instances that exist');
    if (effect.type === 'boot') return power.boot(instance.id, (signal) => options.boot(instance, signal));
    onPhase(instance, effect);
  }

  /** `instance` may have moved on meanwhile; `effect` says what happened. */
  function onPhase(instance: Instance, effect: fleets.FleetEffect & { readonly type: 'moved' }): void {
    const { id, phase, cause } = effect;
    report({
      fact: 'cloud.instance',
      instance: id,
      index: instance.index,
      zone: instance.zone,
      phase,
      cause,
    });
    if (phase === 'running') group.deliver({ type: 'running', id });
    if (phase === 'shutting-down' || phase === 'stopping') group.deliver({ type: 'lost', id });
    if (phase === 'stopped' || phase === 'terminated') planned.deliver({ type: 'gone', id });
    // A group has no use for a stopped instance: it terminates it, having replaced it already.
    if (phase === 'stopped' && instance.group !== null)
      fleet.deliver({ type: 'terminate', id, cause: 'group' });
    if (phase === 'terminated') options.ended(id);
  }

  function onInterruption(effect: interruptions.InterruptionEffect): void {
    const { id } = effect;
    if (effect.type === 'reclaim') {
      const { action } = effect;
      if (action === 'terminate') return fleet.deliver({ type: 'terminate', id, cause: 'spot' });
      return fleet.deliver({ type: 'stop', id, hibernate: action === 'hibernate' });
    }
    group.deliver({ type: 'at-risk', id });
    if (effect.type === 'rebalance-recommended') return report({ fact: 'cloud.rebalance', instance: id });
    const { action, noticeMs } = effect;
    report({ fact: 'cloud.interruption', instance: id, action, noticeMs });
  }

  function onGroup(effect: groups.GroupEffect): void {
    if (effect.type === 'terminate')
      return fleet.deliver({ type: 'terminate', id: effect.id, cause: 'group' });
    const { name } = options.group;
    const tags = { ...options.template.tags, 'aws:autoscaling:groupName': name };
    const request = { ...options.template, tags, zone: null, clientToken: null, group: name, count: 1 };
    const [id] = launch(request) ?? [];
    const zone = id === undefined ? undefined : fleet.state().instances.get(id)?.zone;
    if (id === undefined || zone === undefined) group.deliver({ type: 'refused' });
    else group.deliver({ type: 'joined', id, zone });
  }

  function launch(request: LaunchRequest & { readonly count: number }): readonly string[] | null {
    const [blueprints, next] = drawUp({ fleet: fleet.state(), site, outages }, request, rng);
    rng = next;
    if (blueprints === null) return null;
    fleet.deliver({ type: 'run', blueprints });
    return blueprints.map(({ id }) => id);
  }

  return {
    site,
    outages,
    fleet: fleet.state,
    interruptions: planned.state,
    group: group.state,
    order: fleet.deliver,
    interrupt: planned.deliver,
    scale: group.deliver,
    launch,
    async stop() {
      for (const machine of [group, planned, fleet]) machine.stop();
      const running = [...fleet.state().instances.values()].filter(({ powered }) => powered);
      for (const { id } of running) power.signal(id, 'instance', 'SIGKILL');
      await power.settled();
    },
  };
}

/** A computer's clock is set and its sleep is not counted: what people are shown follows the wall clock of the moment. */
const onWallTime = <S extends { wallOffset: number }, E, F>(
  clock: Clock,
  machine: Machine<S, E, F>,
): Machine<S, E, F> => ({
  ...machine,
  step(state, event, now) {
    state.wallOffset = clock.wallNow() - now;
    return machine.step(state, event, now);
  },
});

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
