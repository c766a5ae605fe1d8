/**
 * What must hold whatever happens, checked against what the simulator knows and no node can. Safety is checked where
 * something changed; liveness once the faults are over. Names are those of the invariants in the README's table.
 *
 *   I1 nobody is held dead whose process lives and is reached by enough of its observers: by those of all members, or,
 *      in a partition, by those of the members that the judge takes for living. A rumour is believed only by who cannot
 *      reach the member itself. And who was, is not for long, once nothing is between it and who held it dead.
 *   I2 when faults have ceased, all views and records are soon equal
 *   I3 the order of a record of one key never goes back, and who has left does not come back under the same incarnation
 *   I4 I2 holds without pubsub
 *   I5 epochs of a lease rise, each has one holder, and no effect is committed under a lower one than before; no two
 *      that run hold it at a time, and when faults have ceased, one does
 *   I8 what a node sends is bounded, in peace and whatever happens (`spending.ts`)
 *   I9 nobody is let in whose key has not been in the tags of the instance that it runs on, one of the cluster that has not
 *      ended; no record is kept whose signer no instance of the cluster has named, or that its owner has not said, and
 *      none is told beside another key
 */
import type { Fact } from '../../src/node/facts.ts';
import type { Known } from '../../src/node/cluster-port.ts';
import { outranks, type NodeRecord } from '../../src/registry/record.ts';
import { memberId } from '../../src/std/member-id.ts';
import { DutyLedger } from './duty.ts';
import { strangerPrefix } from './hostile.ts';
import { Deaths } from './deaths.ts';
import { isCutOff, observersAmong, observersMost, type Reach } from './observers.ts';
import type { Station } from './network.ts';
import type { Resident, Verdict } from './resident.ts';
import { Spending } from './spending.ts';
import type { World } from './world.ts';

export type Violation = { readonly invariant: string; readonly at: number; readonly what: string };

/** Verdicts about a process may lag behind its start and end by what a vote stands and a record travels, ms. */
const youngMs = 5_000;
/** Nodes. Beyond the one messages have no length, beyond the other all that each knows is too much to be compared. */
const largeAbove = 100;
const vastAbove = 200;
/** One node in so many has all that it knows looked at each second, beside every change at all. */
const sweepShare = { small: 10, large: 300 };

const verdictOf: Readonly<Record<string, Verdict>> = {
  'member.joined': 'alive',
  'member.recovered': 'alive',
  'member.suspected': 'suspect',
  'member.died': 'dead',
  'member.left': 'left',
  'member.forgotten': 'forgotten',
};

/** A holder of whose renewal the answer is lost lets go of the lease until the next one, ms. */
const leaderlessMs = 5_000;

export class Checks {
  readonly violations: Violation[] = [];
  /** Deaths that were told, true or not. */
  deaths = 0;
  onDeath: (by: Resident, id: string) => void = () => {};
  #sweeps = 0;
  /** When a sweep last found a holder of the lease. */
  #ledAt = -Infinity;
  /** Of what anybody knows. */
  #changes = 0;
  #equal = { asOf: '', is: false };
  #watched: string | null = null;
  readonly duty = new DutyLedger((what) => this.break('I5', what));
  readonly isLarge: boolean;
  /** Of which what all know is compared by its hash, in which who never heard of the dead differs from who did. */
  readonly #isVast: boolean;
  readonly #spending: Spending;
  readonly #world: () => World;
  readonly #deaths: Deaths;
  /** The newest life of every instance. */
  readonly #newest = new Map<string, Resident>();
  /** The highest record of all lives before it: one whose clock was set back begins below that. */
  readonly #lastWords = new Map<string, NodeRecord>();
  readonly #traced = new WeakSet<NodeRecord>();

  /** `nodes`: at the start. Few of them live many lives, which makes the cluster no larger. */
  constructor(world: () => World, nodes: number) {
    this.#world = world;
    this.#deaths = new Deaths({
      lifeOf: (id) => this.#newest.get(id) ?? null,
      isExcused: (judge, truth) => this.#isExcused(judge, truth),
      onBroken: (what) => this.break('I1', what),
    });
    this.#spending = new Spending(world, (what) => this.break('I8', what));
    this.isLarge = nodes > largeAbove;
    this.#isVast = nodes > vastAbove;
  }

  get world(): World {
    return this.#world();
  }

  onFact(resident: Resident, fact: Fact): void {
    const { world } = this;
    world.digest.text(fact.fact);
    this.#tellOf(resident, fact);
    const member = fact['member'];
    const verdict = verdictOf[fact.fact];
    if (verdict === undefined || typeof member !== 'string') return;
    world.digest.text(member);
    resident.judge(member, verdict);
    this.#deaths.judged(resident, member, { verdict, now: world.now });
    if (verdict !== 'dead') return;
    this.deaths++;
    this.onDeath(resident, member);
    this.#mayBeDead(resident, member, String(fact['why']));
  }

  watch(id: string): void {
    this.#watched = id;
  }

  onStart(resident: Resident): void {
    if (resident.id === this.#watched) this.#tellOf(resident, { fact: 'node.started' });
    this.#noteLastWord(resident.id);
    this.#newest.set(resident.id, resident);
    this.#changes++;
  }

  #noteLastWord(id: string): void {
    const before = this.#newest.get(id)?.inside.cluster.own();
    const last = this.#lastWords.get(id);
    if (before !== undefined && (last === undefined || outranks(before, last)))
      this.#lastWords.set(id, before);
  }

  /**
   * What a node goes by may be old: an answer that lags, what others saw, what it remembers. Who knocks runs, and so does
   * the instance that it runs on, so that even what is old has to be true of it.
   */
  onAdmitted(gate: Station, { host, peerId }: Station): void {
    const { world } = this;
    const isOurs = world.on(gate.host)?.process === gate.process;
    if (isOurs && !world.ec2.names(host.id, peerId))
      this.break('I9', `${gate.host.id} lets in ${peerId}, which no running instance has named`);
  }

  /** A record or a health changed. */
  onChanged(resident: Resident, id: string): void {
    this.#changes++;
    const known = resident.inside.cluster.member(memberId(id));
    if (known !== null) this.#look(resident, known);
  }

  /** Everything that a node knows, at a part of them, and the next time at the next. */
  sweep(): void {
    this.#deaths.look(this.world.now);
    // Messages of a large cluster are not encoded, and have no length of their own.
    if (!this.isLarge) this.#spending.look(this.#changes);
    const holders = this.#holders();
    if (holders.length > 0) this.#ledAt = this.world.now;
    if (holders.length > 1) this.break('I5', `${holders.join(' and ')} hold the lease at a time`);
    const share = this.isLarge ? sweepShare.large : sweepShare.small;
    const turn = this.#sweeps++ % share;
    for (const [at, resident] of this.world.living().entries()) {
      if (at % share !== turn || resident.process.paused) continue;
      for (const known of resident.inside.cluster.members()) this.#look(resident, known);
    }
  }

  /** Everybody takes everybody that lives for alive. */
  isWhole(): boolean {
    const living = this.world.living();
    return living.every(({ joined, alive }) => joined && alive === living.length - 1);
  }

  /** Whether all know the same, and where it can be compared, whether it is true as well. */
  isEqual(): boolean {
    const living = this.world.living();
    const asOf = `${this.#changes} ${living.length} ${living.filter(({ joined }) => joined).length}`;
    if (asOf === this.#equal.asOf) return this.#equal.is;
    this.#equal = { asOf, is: this.#isVast ? this.#isAgreed() : this.difference() === null };
    return this.#equal.is;
  }

  /** null: every living node is a member and knows every other with its newest word, and nobody takes the dead for living. */
  difference(): string | null {
    const living = this.world.living().filter(({ leaving }) => !leaving);
    const outsider = living.find(({ joined }) => !joined);
    if (outsider !== undefined) return `${outsider.id} is no member yet`;
    const byId = new Map(living.map((resident) => [resident.id, resident]));
    for (const resident of living) {
      const known = resident.inside.cluster.members();
      let present = 0;
      for (const one of known) {
        const truth = byId.get(one.id);
        const wrong = truth === undefined ? this.#overrated(one) : differenceOf(one, truth);
        if (wrong !== null) return `${resident.id} holds ${wrong}`;
        if (truth !== undefined) present++;
      }
      if (present === byId.size - 1) continue;
      const ids = new Set<string>([resident.id, ...known.map(({ id }) => id)]);
      return `${resident.id} does not know ${[...byId.keys()].find((id) => !ids.has(id))}`;
    }
    return null;
  }

  /** Asked when the cluster is at rest, of one whose nodes want the lease. */
  mustBeLed(): void {
    const isLed = this.#holders().length > 0 || this.world.now - this.#ledAt <= leaderlessMs;
    if (!isLed) this.break('I5', 'nobody holds the lease');
  }

  /** One line for all that a node knows: its hash of it, and how many it takes for alive; what became of each is told by facts. */
  stateOf({ id, inside, alive }: Resident): string {
    const { high, low } = inside.viewHash();
    return `${id}: ${alive} ${high} ${low}`;
  }

  break(invariant: string, what: string): void {
    if (this.violations.length < 20)
      this.violations.push({ invariant, at: Math.round(this.world.now), what });
  }

  #isAgreed(): boolean {
    const [first, ...rest] = this.world.living().map(({ inside }) => inside.viewHash());
    return rest.every(({ high, low }) => high === first?.high && low === first.low);
  }

  /**
   * Two can only be ended by EC2: of whom there is no record, nobody can spread that it is dead; and for whose address
   * has a new owner, a kernel goes on answering. Neither serves anything.
   */
  #overrated({ id, health, record }: Known): string | null {
    if (record === null || (health !== 'alive' && health !== 'suspect')) return null;
    const host = this.#newest.get(id)?.host;
    const isSucceeded = host !== undefined && this.world.terrain.isSucceeded(host);
    return isSucceeded && health === 'suspect' ? null : `${id} ${health}, which is gone`;
  }

  /** A paused one may believe it until it looks at its clock. */
  #holders(): readonly string[] {
    return this.world
      .living()
      .filter(({ inside, process }) => !process.paused && inside.holdsDuty)
      .map(({ id }) => id);
  }

  #tellOf(resident: Resident, fact: Fact): void {
    if (this.#watched === null || (resident.id !== this.#watched && fact['member'] !== this.#watched)) return;
    const { now } = this.world;
    process.stderr.write(`${now.toFixed(1).padStart(9)} ${resident.id} ${JSON.stringify(fact)}\n`);
  }

  #look(resident: Resident, { id, peerId: known, health, record }: Known): void {
    if (record === null) return;
    const { incarnation, sequence, peerId } = record;
    if (peerId !== known)
      this.break('I9', `${resident.id} knows ${id} by ${known}, with a record of ${peerId}`);
    const number = this.world.roll.numberOf(id);
    const before = resident.orders[number];
    if (before === record && record.life.phase !== 'left') return;
    const isBack =
      before?.peerId === peerId &&
      (incarnation < before.incarnation ||
        (incarnation === before.incarnation && sequence < before.sequence));
    if (isBack) {
      const was = `(${before.incarnation}, ${before.sequence})`;
      this.break('I3', `${resident.id} went back from ${was} to (${incarnation}, ${sequence}) for ${id}`);
    }
    resident.orders[number] = record;
    if (record.life.phase === 'left' && health === 'alive')
      this.break(
        'I3',
        `${resident.id} holds ${id} alive, which has left under (${incarnation}, ${sequence})`,
      );
    this.#trace(resident, id, record);
  }

  /** Where a record comes from. What was found of one that many keep holds for all of them, and for good. */
  #trace(resident: Resident, id: string, record: NodeRecord): void {
    if (this.#traced.has(record)) return;
    const { incarnation, sequence, peerId } = record;
    const isStrange = peerId.startsWith(strangerPrefix) || !this.world.ec2.vouchesFor(id, peerId);
    if (isStrange) this.break('I9', `${resident.id} keeps a record of ${id} signed by ${peerId}`);
    const truth = this.#newest.get(id);
    const lastWord = this.#lastWords.get(id);
    const isFormer = lastWord !== undefined && !outranks(record, lastWord);
    const isInvented = truth?.peerId === peerId && !isFormer && outranks(record, truth.inside.cluster.own());
    if (isInvented)
      this.break('I9', `${resident.id} has (${incarnation}, ${sequence}) of ${id}, which never said it`);
    if (!isStrange && !isInvented) this.#traced.add(record);
  }

  /** Everyone whom this node takes for living, and itself. */
  #seenBy(judge: Resident): Resident[] {
    const living = judge.inside.cluster
      .members()
      .filter(({ health }) => health === 'alive' || health === 'suspect')
      .flatMap(({ id }) => this.#newest.get(id) ?? []);
    return [judge, ...living];
  }

  #reachOf({ id, host: its }: Resident, view: readonly Resident[]): Reach {
    const { shadows, now } = this.world;
    const observers = observersAmong(memberId(id), view);
    const others = new Set(view.map((one) => one.id)).size - (view.some((one) => one.id === id) ? 1 : 0);
    if (observers.length !== Math.min(observersMost, others))
      this.break('I1', `${id} has ${observers.length} observers among ${others} others`);
    return {
      kept: observers.filter(({ host }) => shadows.lies(host, its, now)).length,
      of: observers.length,
    };
  }

  /** Nobody could expect of this one that it takes that one for living. */
  #isExcused(judge: Resident, truth: Resident): boolean {
    const { shadows, now } = this.world;
    if (!truth.lives) return true;
    const isUnready = [judge, truth].some(
      ({ startedAt, joined, leaving, process }) =>
        !joined || leaving || !process.isFree || now - startedAt < youngMs,
    );
    return isUnready || this.#isUntold(judge, truth) || shadows.lies(judge.host, truth.host, now);
  }

  /**
   * It has another key by now, and holds the former one dead, as it is. What fewer than two others say of the next one counts
   * for nothing ([Y2]), so nobody learns it but by a look of its own, and while EC2 is out nobody has one.
   */
  #isUntold(judge: Resident, { id, peerId }: Resident): boolean {
    const knows = ({ inside }: Resident): boolean => inside.cluster.member(memberId(id))?.peerId === peerId;
    if (!this.world.ec2.out || knows(judge)) return false;
    return this.world.living().filter((one) => one.joined && knows(one)).length < 2;
  }

  #mayBeDead(judge: Resident, id: string, why: string): void {
    const { world } = this;
    const truth = this.#newest.get(id);
    if (truth === undefined || !truth.lives || truth.leaving || !truth.joined) return;
    if (world.now - truth.startedAt < youngMs) return;
    // An earlier life is dead indeed: this judge has not heard of the new key yet.
    if (judge.inside.cluster.member(memberId(id))?.peerId !== truth.peerId) return;
    if (why === 'rumour' && world.shadows.lies(judge.host, truth.host, world.now)) return;
    const inAll = this.#reachOf(
      truth,
      world.living().filter((one) => one.joined && !one.leaving),
    );
    if (isCutOff(inAll, world.liars)) return;
    const inItsOwn = this.#reachOf(truth, this.#seenBy(judge));
    if (isCutOff(inItsOwn, world.liars)) return;
    const state = truth.process.paused ? 'paused' : 'running';
    const reach = [inAll, inItsOwn].map(({ kept, of }) => `${of - kept} of ${of}`).join(', in its own view ');
    this.break(
      'I1',
      `${judge.id} holds ${id} dead (${why}): its process is ${state}, observers that reach it: ${reach}`,
    );
  }
}

function differenceOf({ id, health, record }: Known, truth: Resident): string | null {
  if (health !== 'alive') return `${id} ${health}, which is alive`;
  const own = truth.inside.cluster.own();
  const isNewest = record?.incarnation === own.incarnation && record.sequence === own.sequence;
  if (isNewest) return null;
  const held = record === null ? 'no record' : `(${record.incarnation}, ${record.sequence})`;
  return `${held} of ${id}, which says (${own.incarnation}, ${own.sequence})`;
}
