/**
 * A cluster in one thread, under virtual time: machines, paths, EC2, S3 and the nodes, with everything by chance drawn
 * from one seed. What happens to them is decided in `faults.ts`, what must hold in `checks.ts`.
 */
import type { Fact } from '../../src/node/facts.ts';
import type { Cloud, Memory, Network, NetworkEvents, Probe } from '../../src/node/ports.ts';
import { Dice } from './dice.ts';
import { Digest } from './digest.ts';
import { Disks } from './disks.ts';
import { SimEc2 } from './ec2.ts';
import { SimNetwork, type IsMail, type Station } from './network.ts';
import { Overlaps } from './overlaps.ts';
import { SimProcess, trueWall } from './process.ts';
import { EventQueue } from './queue.ts';
import { firstRecord, Resident, type Inhabit, type ResidentPorts } from './resident.ts';
import { SimS3, type Applied } from './s3.ts';
import { Roll } from './roll.ts';
import type { Sabotage } from './sabotage.ts';
import { Shadows } from './shadows.ts';
import { Terrain, type Host } from './terrain.ts';
import { Turn, turn } from './turn.ts';

/** What else lives on the machines, and is told of what happens to them. */
type Tenants = {
  ended(process: SimProcess): void;
  poweredOff(host: Host): void;
  pathsChanged(): void;
};

export type WorldOptions = {
  readonly seed: number;
  readonly sabotage: Sabotage | null;
  readonly isMail: IsMail;
  /** Whatever a node is made of; `onJoined` once it is a member. */
  readonly inhabit: Inhabit;
  readonly onFact: (resident: Resident, fact: Fact) => void;
  readonly onChanged: (resident: Resident, id: string) => void;
  readonly onStart: (resident: Resident) => void;
  readonly onApplied: (applied: Applied) => void;
};

const zones = ['us-east-1a', 'us-east-1b', 'us-east-1c'];
/** What a libp2p listener of ours asks of its kernel. */
const backlogUsual = 1_024;
/** Of monotonic clocks: crystals and NTP's slewing, parts of one. */
const driftMost = 3e-4;
const wallOffsetMostMs = 2_000;
/** The boot is over, and no fault has come. */
const shutOutMs = 5_000;

export class World {
  readonly queue = new EventQueue();
  readonly digest = new Digest();
  readonly turn = new Turn();
  readonly shadows = new Shadows();
  readonly overlaps = new Overlaps();
  readonly roll = new Roll();
  readonly terrain: Terrain;
  readonly network: SimNetwork;
  readonly ec2: SimEc2;
  readonly s3: SimS3;
  /** Every life of every node, in order of their starts. */
  readonly residents: Resident[] = [];
  /** Hears of every process that ends without a goodbye. */
  onEnd: (resident: Resident, kind: 'kill' | 'hostOff') => void = () => {};
  /** Members that lie, or did a moment ago. */
  liars = 0;
  /** A daemon that starts again finds an empty data directory: it makes itself a new key, and remembers nothing. */
  newDisks = false;
  readonly sabotage: Sabotage | null;
  /** null: nothing. */
  tenants: Tenants | null = null;
  readonly #options: WorldOptions;
  readonly #dice: Dice;
  readonly #closing: Dice;
  readonly #living = new Map<Host, Resident>();
  readonly #disks = new Disks();
  readonly #peerIds = new Map<Host, string>();
  #launched = 0;

  constructor(options: WorldOptions) {
    const dice = new Dice(options.seed).for('world');
    const { queue, turn } = this;
    const { isMail } = options;
    this.#options = options;
    this.sabotage = options.sabotage;
    this.#dice = dice;
    this.#closing = dice.for('closing');
    this.terrain = new Terrain(dice.for('terrain'));
    this.network = new SimNetwork({
      queue,
      terrain: this.terrain,
      dice: dice.for('network'),
      turn,
      isMail,
    });
    this.ec2 = new SimEc2({ queue, dice: dice.for('ec2'), turn });
    this.s3 = new SimS3({ queue, dice: dice.for('s3'), turn }, (applied) => options.onApplied(applied));
    this.s3.out = options.sabotage === 'storeless';
  }

  get now(): number {
    return this.queue.now;
  }

  /** Nodes whose process lives, in order of their starts. */
  living(): Resident[] {
    return [...this.#living.values()];
  }

  on(host: Host): Resident | null {
    return this.#living.get(host) ?? null;
  }

  stationOf(resident: Resident): Station | null {
    return this.network.stations.get(resident.process) ?? null;
  }

  at(when: number, act: () => void): void {
    this.queue.push(when, { fire: act }, 0, null, null);
  }

  async run(until: number, isOver: () => boolean): Promise<void> {
    const { queue } = this;
    while (queue.nextAt() <= until && !isOver()) {
      queue.step();
      if (this.turn.isDue(queue.now)) await turn();
    }
    queue.now = Math.max(queue.now, until);
  }

  /** A new instance of the group. `ip`: one that somebody else had. */
  launch(ip: string | null): Host {
    const number = ++this.#launched;
    const host = this.terrain.add({
      id: interned(`i-${number.toString(16).padStart(8, '0')}`),
      ip: ip ?? `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`,
      zone: zones[number % zones.length]!,
      backlog: backlogUsual,
    });
    // The launch template has the cluster's tags, and a node adds its own.
    this.ec2.launch(host, { SynktiCluster: 'sim', SynktiRole: 'worker' });
    // What was meant for the one that had the address reaches this one from now on.
    if (ip !== null) this.pathsChanged();
    return host;
  }

  /** Starts the daemon on an instance. */
  start(host: Host): Resident {
    const dice = this.#dice.for(`start ${host.id} ${this.residents.length}`);
    const drift = {
      rate: 1 + dice.between(-driftMost, driftMost),
      wallOffsetMs: host.wallAheadMs + dice.between(-wallOffsetMostMs, wallOffsetMostMs),
    };
    const index = this.residents.length;
    const process = new SimProcess(index, { queue: this.queue, digest: this.digest, drift });
    const peerId = this.#keyOn(host);
    const incarnation = Math.round(trueWall(this.now) + drift.wallOffsetMs);
    const record = firstRecord({ id: host.id, peerId, zone: host.zone, incarnation });
    const { onFact, onChanged, sabotage } = this.#options;
    const ports: ResidentPorts = {
      clock: process,
      rng: { seed: sabotage === 'dice' ? Math.floor(Math.random() * 2 ** 32) : dice.seed() },
      cloud: this.#cloudOf(host, process),
      openNetwork: (events) =>
        this.turn.promise(
          Promise.resolve(
            said(this.network.open(peerId, { host, process }, heard(events, sabotage)), sabotage),
          ),
        ),
      probe: this.#probe(host, process),
      store: this.#s3For(dice).storeOf(process),
      memory: this.#memoryOf(host, process),
      remembered: sabotage === 'shut-out' ? null : this.#disks.recall(host),
      run: `${host.id}.${index}`,
      report: (fact) => onFact(resident, fact),
      ...{ host, process, exit: () => this.#exit(resident) },
    };
    const inside = this.#options.inhabit(record, ports, () => {
      resident.joined = true;
    });
    const { now: at, roll } = this;
    const resident = new Resident({ host, process, peerId, at, roll }, inside);
    inside.cluster.changed.add((id) => onChanged(resident, id));
    this.residents.push(resident);
    this.#options.onStart(resident);
    this.#living.set(host, resident);
    process.receive(this.now, () => void this.turn.promise(inside.start()));
    return resident;
  }

  /** SIGKILL, or the end of its machine. */
  kill(resident: Resident): void {
    resident.process.alive = false;
    if (resident.joined && !resident.leaving) this.onEnd(resident, resident.host.on ? 'kill' : 'hostOff');
    if (this.#living.get(resident.host) === resident) this.#living.delete(resident.host);
    this.network.vanish(resident.process);
    // Measured on Linux: its connections are closed first, and in one of three kills a SYN finds the port still open.
    const lingerMs = this.#closing.hits(1 / 3) ? this.#closing.between(2, 10) : 0;
    resident.host.listensUntil = this.now + lingerMs;
    this.tenants?.ended(resident.process);
  }

  leave(resident: Resident, withinMs: number): void {
    resident.leaving = true;
    resident.process.receive(this.now, () => void this.turn.promise(this.#leave(resident, withinMs)));
  }

  /** No packet enters or leaves, no process runs. */
  powerOff(host: Host): void {
    host.on = false;
    this.terrain.changed();
    const resident = this.on(host);
    if (resident !== null) this.kill(resident);
    this.tenants?.poweredOff(host);
  }

  powerOn(host: Host): void {
    if (host.gone || host.on) return;
    host.on = true;
    this.pathsChanged();
    this.start(host);
  }

  terminate(host: Host): void {
    host.gone = true;
    this.powerOff(host);
    this.ec2.terminate(host.id);
  }

  /** As a person sets it, or NTP that was away for long. */
  setWall(resident: Resident, aheadMs: number): void {
    resident.process.jumpWall(aheadMs);
    resident.host.wallAheadMs += aheadMs;
  }

  pause(resident: Resident): void {
    resident.process.pause();
  }

  resume(resident: Resident): void {
    if (!resident.lives) return;
    resident.process.resume();
    if (!resident.process.paused) resident.host.queued = 0;
  }

  pathsChanged(): void {
    this.terrain.changed();
    this.network.retry();
    this.tenants?.pathsChanged();
  }

  async #leave(resident: Resident, withinMs: number): Promise<void> {
    await resident.inside.leave(withinMs);
    resident.process.wakeAt(resident.process.now(), () => this.#exit(resident));
  }

  /** The last words are on their way. */
  #exit(resident: Resident): void {
    this.at(this.now + 200, () => this.kill(resident));
  }

  #keyOn(host: Host): string {
    const kept = this.#peerIds.get(host);
    if (kept !== undefined && !this.newDisks) return kept;
    this.#disks.erase(host);
    const name = kept === undefined ? `peer-${host.id}` : `peer-${host.id}-${this.residents.length}`;
    const peerId = interned(name);
    this.#peerIds.set(host, peerId);
    return peerId;
  }

  #memoryOf(host: Host, process: SimProcess): Memory {
    return {
      keep: (remembered) => {
        if (process.alive) this.#disks.keep(host, remembered);
      },
      erase: () => this.#disks.erase(host),
    };
  }

  #s3For(dice: Dice): SimS3 {
    const { queue, turn, sabotage } = this;
    if (sabotage !== 'private-stores') return this.s3;
    return new SimS3({ queue, dice: dice.for('s3'), turn }, () => undefined);
  }

  #cloudOf(host: Host, process: SimProcess): Cloud {
    const cloud = this.ec2.cloudOf(host.id, process);
    const isShutOut = this.#options.sabotage === 'shut-out' && this.now > shutOutMs;
    return isShutOut ? { ...cloud, tagSelf: () => new Promise<void>(() => undefined) } : cloud;
  }

  #probe(host: Host, process: SimProcess): Probe {
    return (address, { ms, standMs }) => {
      const { promise, resolve } = Promise.withResolvers<'answered' | 'refused' | 'silent'>();
      const to = this.terrain.at(address.host);
      const lost = to === null || this.terrain.loses(host, to) || this.terrain.loses(to, host);
      const answer = lost ? 'silent' : this.network.knock(host, address, true);
      const trip = to === null ? Infinity : 2 * this.terrain.way(host, to);
      const told = answer === 'silent' || trip > ms ? 'silent' : answer;
      const wrong = this.#options.sabotage === 'slow-is-refused' && told === 'answered';
      const tell = (outcome: typeof answer): void => {
        this.turn.note();
        resolve(wrong ? 'refused' : outcome);
      };
      if (told === 'answered' && standMs > 0) {
        // What stands in the queue of a listener that closes is reset, and the next SYN refused.
        const closesAt = to!.listensUntil > this.now ? to!.listensUntil : Infinity;
        process.receive(Math.min(this.now + standMs, closesAt) + 2 * trip, () =>
          tell(this.network.knock(host, address, false)),
        );
      } else process.receive(this.now + Math.min(trip, told === 'silent' ? ms : trip), () => tell(told));
      return this.turn.promise(promise);
    };
  }
}

/** The engine's one copy of this text, which it compares with another one's at a glance: names are compared most of all. */
const interned = (text: string): string => Object.keys({ [text]: null })[0]!;

function heard(events: NetworkEvents, sabotage: Sabotage | null): NetworkEvents {
  if (sabotage === 'open-door') return { ...events, admit: () => Promise.resolve(true) };
  if (sabotage !== 'mute') return events;
  // Beats still come: the members live, and say nothing else.
  return { ...events, message: (author, body, via) => body[0] === 1 && events.message(author, body, via) };
}

const said = (network: Network, sabotage: Sabotage | null): Network =>
  sabotage === 'chatty'
    ? { ...network, send: (to, body) => Array.from({ length: 10 }, () => network.send(to, body)).at(-1)! }
    : network;
