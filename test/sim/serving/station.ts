/**
 * One node with all of its request path: the node as a daemon composes it, its generations and its inlet, on a simulated
 * engine and simulated connections.
 */
import { Node } from '../../../src/node/node.ts';
import { openStories } from '../../../src/node/stories.ts';
import { copiesBytesMax } from '../../../src/journal/holder.ts';
import { generationsMax, openGenerations, type Generations } from '../../../src/node/generations.ts';
import { holdersAmong } from '../../../src/node/holders.ts';
import { openJournals, type Journals } from '../../../src/node/journals.ts';
import type { Holding } from '../../../src/node/holding.ts';
import type { Codec } from '../../../src/node/message.ts';
import type { Cloud } from '../../../src/node/ports.ts';
import type { EngineStatus, NodeRecord } from '../../../src/registry/record.ts';
import type { Reading } from '../../../src/spot/notices.ts';
import { memberId } from '../../../src/std/member-id.ts';
import { wallTime } from '../../../src/std/time.ts';
import { volunteer } from '../duty.ts';
import { trueWall } from '../process.ts';
import { clusterOf, type Inhabit, type Inhabitant, type ResidentPorts } from '../resident.ts';
import { contextTokens, model } from './answer.ts';
import type { SimEngine } from './engine.ts';
import { engineHostAt } from './engine-host.ts';
import { openFront, type Front } from './front.ts';
import { idleMs, openInlet } from './inlet.ts';
import { askOver } from './journal.ts';
import { legsOf, type Listener } from './legs.ts';
import type { Promises } from './promises.ts';
import { sabotagedJournals, sabotagedLegs, sabotagedServing } from './sabotage.ts';
import type { Site } from './site.ts';
import type { Place } from './wires.ts';

/** Nodes without an engine, public entries. */
const edgeShare = 0.1;
/** Spot instances, where there are any: the others spare the simulator three reads of their metadata a second. */
const spotShare = 0.4;
const readyMs = 60_000;
/** Nodes that are reached by something that closes idle connections. */
const hastyShare = 0.3;

export class Station implements Inhabitant {
  readonly id: string;
  readonly place: Place;
  readonly node: Node;
  readonly generations: Generations;
  readonly journals: Journals;
  readonly listener: Listener;
  readonly front: Front;
  /** Its process ended by itself. */
  hasLeft = false;
  readonly #site: Site;
  readonly #exit: () => void;
  readonly #readsNotices: boolean;
  readonly #viewHash: Inhabitant['viewHash'];
  readonly #onJoining: () => void;
  /** It joins before it has written its tags. */
  readonly #remembers: boolean;
  #duty: Holding | null = null;
  #joined = false;
  /** What the instance metadata says of an interruption. */
  #notice: Reading | null = null;

  constructor(
    record: NodeRecord,
    ports: ResidentPorts,
    about: { readonly site: Site; readonly promises: Promises; readonly codec: Codec; onJoined(): void },
  ) {
    const { site, promises, codec, onJoined } = about;
    const { host, process, clock, rng, report } = ports;
    const { wires, world } = site;
    this.#site = site;
    this.#exit = ports.exit;
    this.id = record.id;
    this.#readsNotices = site.readsNotices && site.dice.for(`spot ${host.id}`).hits(spotShare);
    this.place = { host, process };
    const isEdge = site.dice.for(`role ${host.id}`).hits(edgeShare);
    const own = isEdge ? asEdge(record) : asWorker(record);
    const cluster = clusterOf(own, ports, codec);
    this.#viewHash = () => cluster.viewHash();
    this.#onJoining = () => {
      if (this.#joined) return;
      this.#joined = true;
      onJoined();
      this.#duty = volunteer(cluster, ports);
    };
    this.#remembers = ports.remembered !== null;
    const now = (): number => world.now;
    const dice = site.dice.for(`host ${ports.run}`);
    this.node = new Node(
      {
        ...{ cluster: 'sim', record: own, address: null, isTagged: ports.remembered !== null },
        engine: isEdge ? null : { expectedModels: [model], readyMs },
      },
      {
        ...{ clock, rng, cluster },
        cloud: once(ports.cloud, () => this.#onJoining()),
        readNotice: this.#readsNotices ? (path) => this.#read(path) : null,
        engineHost: isEdge ? null : engineHostAt(this.place, { engines: site, dice, now }),
        report: (fact) => {
          // Its promises may be settled by what this tells of.
          if (/^(drain|engine)\./.test(fact.fact)) world.turn.note();
          if (fact.fact === 'drain.started') this.#duty?.close();
          if (fact.fact === 'drain.started' && site.sabotage === 'wordless') this.#end();
          promises.onFact(this, fact);
          report(fact);
        },
      },
    );
    const serving = sabotagedServing(this.node, site.sabotage);
    const engine = (): SimEngine | null => site.on(host);
    const legs = { wires, now, engine, listener: (id: NodeRecord['id']) => site.listener(id) };
    const openLeg = promises.watched(this, sabotagedLegs(legsOf(this.place, own.id, legs), site.sabotage));
    this.journals = openJournals({
      ...{ self: own.id, zone: own.zone, clock, session: own.incarnation, copiesBytesMax },
      ask: askOver(this.place, { ...legs, self: own.id }),
      ...holdersAmong(this.node.cluster),
      report: serving.report,
      ...(site.sabotage === 'secretive' ? { candidates: () => [] } : {}),
    });
    this.node.handOn = (withinMs) => world.turn.asking(this.journals.handOn(withinMs));
    const journals = sabotagedJournals(this.journals, site.sabotage);
    const stories = openStories(own.id, clock);
    const answering = { serving, journals, stories, clock, rng, openLeg };
    this.generations = openGenerations({ ...answering, generationsMax });
    this.front = openFront(this.place, {
      ...{ generations: this.generations, now, clock, sabotage: site.sabotage },
    });
    const isHasty = site.dice.for(`patience ${host.id}`).hits(hastyShare);
    const patience = { idleMs: isHasty ? idleMs.hasty : idleMs.usual };
    const inlet = openInlet(this.place, { wires, now, engine, serving, journals, ...patience });
    this.listener = { place: this.place, accept: (wire) => inlet.accept(wire) };
    void this.node.leaving.left.then(() => this.#end());
    site.enter(this);
  }

  get cluster() {
    return this.node.cluster;
  }

  get engine(): SimEngine | null {
    return this.#site.on(this.place.host);
  }

  get holdsDuty(): boolean {
    return this.#duty !== null && this.#duty.holds() !== null;
  }

  get burden(): Inhabitant['burden'] {
    return { clients: this.front.count(), logs: this.journals.held().streams };
  }

  /** Whether its process gets the time that it wants, and it is here to stay. */
  get runsWell(): boolean {
    const { process, host } = this.place;
    return this.#joined && host.on && process.alive && !process.paused && process.costMs === 0;
  }

  get serves(): boolean {
    const { life, engine } = this.node.cluster.own();
    return life.phase === 'serving' && engine.phase === 'ready' && this.engine?.isWell === true;
  }

  knows(id: string): boolean {
    return this.cluster.member(memberId(id)) !== null;
  }

  viewHash = () => this.#viewHash();

  async start(): Promise<void> {
    await this.node.start();
    if (this.#remembers) this.#onJoining();
  }

  leave(withinMs: number): Promise<void> {
    this.node.drain('operator', withinMs);
    return this.node.leaving.left;
  }

  #end(): void {
    this.hasLeft = true;
    this.#exit();
  }

  notice(inMs: number): boolean {
    if (!this.#readsNotices) return false;
    const time = wallTime(Math.round(trueWall(this.#site.world.now) + inMs));
    this.#notice = { path: 'instance-action', action: 'terminate', time };
    return true;
  }

  /** What changes nothing for anybody: the rest its own supervision says. */
  revise(said: EngineStatus): void {
    const { engine } = this.cluster.own();
    if (engine.phase === 'none' || said.phase === 'none') return;
    this.cluster.revise({ engine: { ...engine, contextTokens: contextTokens + (said.contextTokens ?? 0) } });
  }

  #read(path: Reading['path']): Promise<Reading | null> {
    return this.#site.world.turn.promise(Promise.resolve(path === 'instance-action' ? this.#notice : null));
  }
}

export const servingNode =
  (about: { readonly site: () => Site; readonly promises: Promises; readonly codec: Codec }): Inhabit =>
  (record, ports, onJoined) =>
    new Station(record, ports, { ...about, site: about.site(), onJoined });

const asEdge = (record: NodeRecord): NodeRecord => ({ ...record, role: 'edge' });
const asWorker = (record: NodeRecord): NodeRecord => ({
  ...record,
  engine: { phase: 'starting', models: [model], contextTokens: null },
});

/** Hears when the node has written its own tags, which is when it goes to meet the others. */
const once = (cloud: Cloud, onTagged: () => void): Cloud => ({
  ...cloud,
  tagSelf: async (tags, signal) => {
    await cloud.tagSelf(tags, signal);
    onTagged();
  },
});
