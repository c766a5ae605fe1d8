/**
 * The machines of the cloud put together: the fleet, the interruptions and the Auto Scaling group each decide for
 * themselves and hear of one another here; the power switch carries out what they decide.
 *
 *   interruptions ──reclaim──► fleet ──phase──► group ──terminate──► fleet
 *        └──────at risk──────────────────────────►└──────launch──────►┘
 */
import { drive, type Driven, type Machine } from '../../node/drive.ts';
import type { Report } from '../../node/facts.ts';
import type { Clock } from '../../node/ports.ts';
import { assert } from '../../std/assert.ts';
import { messageOf } from '../../std/failure.ts';
import type { Rng } from '../../std/random.ts';
import * as groups from '../autoscaling/group.ts';
import * as interruptions from '../interruptions.ts';
import { drawUp, type LaunchRequest, type Site } from './blueprints.ts';
import * as fleets from './fleet.ts';
import type { Hosts } from './hosts.ts';
import type { Blueprint, Instance } from './instance.ts';
import { openPower, type Power } from './power.ts';

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

export class Datacenter {
  readonly site: Site;
  /** Zones that are down: no launches there. Changed by the operator. */
  readonly outages = new Set<string>();
  readonly #options: Options;
  readonly #power: Power;
  readonly #fleet: Driven<fleets.Fleet, fleets.FleetEvent>;
  readonly #planned: Driven<interruptions.Interruptions, interruptions.InterruptionEvent>;
  readonly #group: Driven<groups.Group, groups.GroupEvent>;
  #rng: Rng;

  constructor(options: Options) {
    const { clock, seed } = options;
    const start = { now: clock.now(), wall: clock.wallNow() };
    this.#options = options;
    this.site = options.site;
    this.#rng = { seed: (seed ^ 0x5eed) >>> 0 };
    this.#power = openPower({
      hosts: options.hosts,
      clock,
      launchFailed: (id, error) => this.#onLaunchFailed(id, error),
      report: (instance, order, error) => this.#onHostFailed(instance, order, error),
    });
    this.#fleet = drive(
      onWallTime(clock, { step: fleets.step, deadline: fleets.deadline, wake }),
      fleets.emptyFleet(options.timings, { seed, ...start }),
      clock,
      (effect: fleets.FleetEffect) => this.#onFleet(effect),
    );
    this.#planned = drive(
      onWallTime(clock, { step: interruptions.step, deadline: interruptions.deadline, wake }),
      interruptions.noInterruptions(start),
      clock,
      (effect: interruptions.InterruptionEffect) => this.#onInterruption(effect),
    );
    this.#group = drive(
      { step: groups.step, deadline: groups.deadline, wake },
      groups.emptyGroup(options.group),
      clock,
      (effect: groups.GroupEffect) => this.#onGroup(effect),
    );
  }

  fleet(): fleets.Fleet {
    return this.#fleet.state();
  }

  interruptions(): interruptions.Interruptions {
    return this.#planned.state();
  }

  group(): groups.Group {
    return this.#group.state();
  }

  order(event: fleets.FleetEvent): void {
    this.#fleet.deliver(event);
  }

  interrupt(event: interruptions.InterruptionEvent): void {
    this.#planned.deliver(event);
  }

  scale(event: groups.GroupEvent): void {
    this.#group.deliver(event);
  }

  /** Ids of what was launched; null: no capacity where it was wanted. */
  launch(request: LaunchRequest & { readonly count: number }): readonly string[] | null {
    const { site, outages } = this;
    const [blueprints, next] = drawUp({ fleet: this.fleet(), site, outages }, request, this.#rng);
    this.#rng = next;
    if (blueprints === null) return null;
    this.order({ type: 'run', blueprints });
    return blueprints.map(({ id }) => id);
  }

  /** Decides nothing more, kills what still runs, and resolves when the hosts have done so. */
  async stop(): Promise<void> {
    for (const machine of [this.#group, this.#planned, this.#fleet]) machine.stop();
    const running = [...this.fleet().instances.values()].filter(({ powered }) => powered);
    for (const { id } of running) this.#power.signal(id, 'instance', 'SIGKILL');
    await this.#power.settled();
  }

  #onHostFailed(instance: string, order: string, error: unknown): void {
    this.#options.report({ fact: 'cloud.host.failed', instance, order, error: messageOf(error) });
  }

  #onLaunchFailed(id: string, error: unknown): void {
    this.#onHostFailed(id, 'launch', error);
    this.order({ type: 'terminate', id, cause: 'launch' });
  }

  #onFleet(effect: fleets.FleetEffect): void {
    const power = this.#power;
    if (effect.type === 'signal') return power.signal(effect.id, effect.part, effect.signal);
    if (effect.type === 'isolate') return power.isolate(effect.id, effect.on);
    if (effect.type === 'forgotten') return power.forget(effect.id);
    const instance = this.fleet().instances.get(effect.id);
    assert(instance !== undefined, 'effects are about instances that exist');
    if (effect.type === 'boot')
      return power.boot(instance.id, (signal) => this.#options.boot(instance, signal));
    this.#onPhase(instance, effect);
  }

  /** `instance` may have moved on meanwhile; `effect` says what happened. */
  #onPhase(instance: Instance, effect: fleets.FleetEffect & { readonly type: 'moved' }): void {
    const { id, phase, cause } = effect;
    const { index, zone } = instance;
    this.#options.report({ fact: 'cloud.instance', instance: id, index, zone, phase, cause });
    if (phase === 'running') this.scale({ type: 'running', id });
    if (phase === 'shutting-down' || phase === 'stopping') this.scale({ type: 'lost', id });
    if (phase === 'stopped' || phase === 'terminated') this.interrupt({ type: 'gone', id });
    // A group has no use for a stopped instance: it terminates it, having replaced it already.
    if (phase === 'stopped' && instance.group !== null) this.order({ type: 'terminate', id, cause: 'group' });
    if (phase === 'terminated') this.#options.ended(id);
  }

  #onInterruption(effect: interruptions.InterruptionEffect): void {
    const { id } = effect;
    const { report } = this.#options;
    if (effect.type === 'reclaim') {
      const { action } = effect;
      if (action === 'terminate') return this.order({ type: 'terminate', id, cause: 'spot' });
      return this.order({ type: 'stop', id, hibernate: action === 'hibernate' });
    }
    this.scale({ type: 'at-risk', id });
    if (effect.type === 'rebalance-recommended') return report({ fact: 'cloud.rebalance', instance: id });
    const { action, noticeMs } = effect;
    report({ fact: 'cloud.interruption', instance: id, action, noticeMs });
  }

  #onGroup(effect: groups.GroupEffect): void {
    if (effect.type === 'terminate') return this.order({ type: 'terminate', id: effect.id, cause: 'group' });
    const { group, template } = this.#options;
    const tags = { ...template.tags, 'aws:autoscaling:groupName': group.name };
    const request = { ...template, tags, zone: null, clientToken: null, group: group.name, count: 1 };
    const [id] = this.launch(request) ?? [];
    const zone = id === undefined ? undefined : this.fleet().instances.get(id)?.zone;
    if (id === undefined || zone === undefined) this.scale({ type: 'refused' });
    else this.scale({ type: 'joined', id, zone });
  }
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
