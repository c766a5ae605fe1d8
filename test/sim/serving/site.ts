/**
 * Everything of the request path that is not a node: engines beside the daemons, who listens where, and the connections
 * between them. And the truth about all of it, which promises are held against.
 */
import type { MemberId } from '../../../src/std/member-id.ts';
import type { Dice } from '../dice.ts';
import { SimProcess } from '../process.ts';
import type { Sabotage } from '../sabotage.ts';
import type { Host } from '../terrain.ts';
import type { World } from '../world.ts';
import { SimEngine } from './engine.ts';
import type { Engines } from './engine-host.ts';
import type { Listener } from './legs.ts';
import type { Station } from './station.ts';
import { Wires, type Place } from './wires.ts';

/** Their digits in the digest are none of a daemon's. */
const firstPid = 1_000_000;
const outsidePid = 999_999;
export const outsideIp = '192.0.2.1';
const lookMs = 250;

export class Site implements Engines {
  readonly world: World;
  readonly dice: Dice;
  readonly wires: Wires;
  /** Where clients are that are told what they are told over a network. */
  readonly outside: Place;
  /** Whether any node reads the instance metadata: it costs most of what an idle node costs here. */
  readonly readsNotices: boolean;
  readonly sabotage: Sabotage | null;
  /** Every life of every node that serves, in order of their starts. */
  readonly stations: Station[] = [];
  readonly #engines = new Map<Host, SimEngine>();
  /** Of each member the newest life. */
  readonly #newest = new Map<string, Station>();
  /** Since when a node has all that it takes to serve; absent: it lacks something. */
  readonly #fitSince = new Map<Station, number>();
  /** And since when its process has all the time it wants, and it is no stranger. */
  readonly #ranSince = new Map<Station, number>();
  #pids = firstPid;

  constructor(
    world: World,
    dice: Dice,
    options: { readonly readsNotices: boolean; readonly sabotage: Sabotage | null },
  ) {
    const { queue, terrain, digest } = world;
    const host = terrain.add({ id: 'outside', ip: outsideIp, zone: 'outside', backlog: Infinity });
    const drift = { rate: 1, wallOffsetMs: 0 };
    this.outside = { host, process: new SimProcess(outsidePid, { queue, digest, drift }) };
    this.world = world;
    this.dice = dice;
    this.readsNotices = options.readsNotices;
    this.sabotage = options.sabotage;
    this.wires = new Wires({ queue, terrain, dice: dice.for('wires') });
    world.tenants = {
      ended: (process) => this.wires.vanish(process),
      poweredOff: (host) => this.on(host)?.kill(),
      pathsChanged: () => this.wires.retry(),
    };
    this.#lookOften();
  }

  enter(station: Station): void {
    this.stations.push(station);
    this.#newest.set(station.id, station);
  }

  station(id: string): Station | null {
    return this.#newest.get(id) ?? null;
  }

  /** Nodes whose process lives. */
  living(): Station[] {
    return this.world.living().flatMap(({ id }) => this.#newest.get(id) ?? []);
  }

  listener(member: MemberId): Listener | null {
    return this.#newest.get(member)?.listener ?? null;
  }

  on(host: Host): SimEngine | null {
    const engine = this.#engines.get(host);
    return engine?.alive === true ? engine : null;
  }

  launch(host: Host): SimEngine {
    this.on(host)?.kill();
    const { queue, digest } = this.world;
    const pid = this.#pids++;
    const process = new SimProcess(pid, { queue, digest, drift: { rate: 1, wallOffsetMs: 0 } });
    const options = {
      ...{ pid, dice: this.dice.for(`engine ${pid}`), isFrail: this.sabotage === 'frail-engines' },
      onGone: () => this.wires.vanish(process),
    };
    const engine = new SimEngine({ host, process }, options);
    this.#engines.set(host, engine);
    return engine;
  }

  /** Whether nothing was wrong with this life of a node, its engine, and the way to it, since then. */
  wasFit(station: Station, from: Station, since: number): boolean {
    const { shadows } = this.world;
    const wellSince = this.#fitSince.get(station) ?? Infinity;
    if (!station.runsWell || !station.serves) return false;
    return wellSince <= since && !shadows.layBetween(from.place.host, station.place.host, since);
  }

  /** Whether its own process had all the time it wanted since then. */
  ranWell(station: Station, since: number): boolean {
    return (this.#ranSince.get(station) ?? Infinity) <= since;
  }

  /** Who has met nobody since it began, and whom nobody lets in before EC2 says who it is. */
  isStranger({ cluster }: Station): boolean {
    return this.world.ec2.out && cluster.members().every(({ record }) => record === null);
  }

  /** Whether both ran well, and nothing was between them, since then. */
  couldTalk(a: Station, b: Station, since: number): boolean {
    const between = this.world.shadows.layBetween(a.place.host, b.place.host, since);
    return !between && this.ranWell(a, since) && this.ranWell(b, since);
  }

  #lookOften(): void {
    const { world } = this;
    for (const station of this.#newest.values()) {
      keep(this.#ranSince, station, station.runsWell && !this.isStranger(station), world.now);
      keep(this.#fitSince, station, station.runsWell && station.serves, world.now);
    }
    world.at(world.now + lookMs, () => this.#lookOften());
  }
}

function keep(since: Map<Station, number>, station: Station, holds: boolean, now: number): void {
  if (!holds) since.delete(station);
  else if (!since.has(station)) since.set(station, now);
}
