/**
 * Many detectors in one virtual time, each driven as the daemon drives it: a network that delays and holds back, kernels
 * that answer for stopped processes, hosts that go dark. Small on purpose: what a simulator of whole nodes adds is not
 * needed to show the rules.
 */
import { deadline, step } from '../../src/membership/detector.ts';
import type { Binding, DialFailure, Effect, Event, Fact, Outcome } from '../../src/membership/events.ts';
import type { Health } from '../../src/membership/health.ts';
import { init, type State } from '../../src/membership/state.ts';
import { drive, type Driven } from '../../src/node/drive.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import { draw } from '../../src/std/random.ts';
import { instant, wallTime } from '../../src/std/time.ts';
import { Agenda } from './agenda.ts';

type Body =
  | { readonly type: 'beat'; readonly stamp: number }
  | { readonly type: 'watch'; readonly on: boolean }
  | Extract<Effect, { type: 'vote' }>;

type Votes = Extract<Effect, { type: 'vote' }>['vote'] & { readonly at: number };

const machine = { step, deadline, wake: { type: 'tick' } as const };

export class Node {
  readonly binding: Binding;
  readonly id: MemberId;
  readonly links = new Set<Node>();
  readonly votes: Votes[] = [];
  readonly facts: { readonly at: number; readonly fact: Fact }[] = [];
  /**
   * stopped: its kernel answers, its process does not run. dark: its host is gone. killed: nobody listens. replaced:
   * somebody else has its address.
   */
  life: 'running' | 'stopped' | 'dark' | 'killed' | 'replaced' = 'killed';
  incarnation = 0;
  #driven: Driven<State, Event> | null = null;
  readonly #timers: (() => void)[] = [];
  readonly #inbox: Event[] = [];

  constructor(number: number) {
    this.id = memberId(`i-${String(number).padStart(4, '0')}`);
    const address = { host: `10.0.0.${number}`, port: 4001 };
    this.binding = { id: this.id, peerId: `peer-${number}`, address, zone: 'z', voter: true };
  }

  get state(): State {
    if (this.#driven === null) throw new Error(`${this.id} never started`);
    return this.#driven.state();
  }

  healthOf(other: Node): Health | undefined {
    return this.state.members.get(other.id)?.health;
  }

  start(agenda: Agenda, seed: number, perform: (effect: Effect) => void): void {
    this.life = 'running';
    this.incarnation++;
    const { id: selfId, ...rest } = this.binding;
    const sequence = this.incarnation * 1_000_000;
    const options = { selfId, ...rest, incarnation: this.incarnation, sequence, epochOffsetMs: 0 };
    const clock = {
      now: () => instant(agenda.now),
      wallNow: () => wallTime(agenda.now),
      wakeAt: (at: number, wake: () => void) => {
        let armed = true;
        const fire = (): void => {
          if (!armed) return;
          if (this.life === 'stopped') this.#timers.push(fire);
          else wake();
        };
        agenda.at(at, fire);
        return () => void (armed = false);
      },
    };
    this.#driven = drive(machine, init(options, { seed }, clock.now()), clock, perform);
  }

  end(): void {
    this.life = 'killed';
    this.#driven?.stop();
  }

  give(event: Event): void {
    if (this.life === 'stopped') this.#inbox.push(event);
    if (this.life === 'running') this.#driven?.deliver(event);
  }

  /** Its timers fire before it reads what came: so does the event loop. */
  resume(): void {
    this.life = 'running';
    for (const fire of this.#timers.splice(0)) fire();
    for (const event of this.#inbox.splice(0)) this.give(event);
  }
}

export class World {
  readonly agenda = new Agenda();
  readonly nodes: Node[];
  /** Share of messages that come 200 to 400 ms late, as a lost datagram that TCP repeats does. */
  latePercent = 0;
  /** Whether the network carries anything from one to the other. */
  carries: (from: Node, to: Node) => boolean = () => true;
  /** False deaths: somebody held dead a process that is there and that it can reach. */
  readonly wrongs: { readonly at: number; readonly by: MemberId; readonly of: MemberId }[] = [];
  #healedAt = -Infinity;
  #rng: { readonly seed: number };
  /** When the last message of a stream arrives: none overtakes another. */
  readonly #arrivals = new Map<string, number>();
  /** Ends of connections that the other end has closed, and that learn it with their next segment. */
  readonly #halfOpen: (() => void)[] = [];
  readonly #held: { readonly from: Node; readonly to: Node; readonly run: () => void }[] = [];

  constructor(count: number, seed = 7) {
    this.#rng = { seed };
    this.nodes = Array.from({ length: count }, (_, number) => new Node(number));
    for (const node of this.nodes) this.start(node);
    for (const node of this.nodes) for (const other of this.nodes) this.#tellRecord(other, node);
  }

  node(number: number): Node {
    return this.nodes[number] as Node;
  }

  start(node: Node): void {
    node.start(this.agenda, this.#random(2 ** 30), (effect) => this.#perform(node, effect));
    for (const other of this.nodes) {
      node.give({ type: 'bound', binding: other.binding });
      this.#tellRecord(other, node);
      this.#tellRecord(node, other);
    }
  }

  /** What those that run hold of it, others than itself. */
  views(of: Node): (Health | undefined)[] {
    return this.nodes.filter((by) => by !== of && by.life === 'running').map((by) => by.healthOf(of));
  }

  allHold(of: Node, health: Health): boolean {
    return this.views(of).every((view) => view === health);
  }

  allAlive(): boolean {
    return this.nodes.every((node) => node.life !== 'running' || this.allHold(node, 'alive'));
  }

  run(ms: number): void {
    this.agenda.run(ms);
  }

  /** Ms until it holds; Infinity: not within `ms`. */
  until(ms: number, holds: () => boolean): number {
    const begin = this.agenda.now;
    for (; this.agenda.now - begin <= ms; this.run(1)) if (holds()) return this.agenda.now - begin;
    return Infinity;
  }

  kill(node: Node): void {
    const links = [...node.links];
    node.end();
    for (const other of links) this.#close(node, other);
  }

  /** Its machine is gone, and another one has its address. */
  replace(node: Node): void {
    this.kill(node);
    node.life = 'replaced';
  }

  /** What TCP held back arrives now. */
  heal(): void {
    this.carries = () => true;
    this.#healedAt = this.agenda.now;
    for (const learn of this.#halfOpen.splice(0)) this.agenda.after(200 + this.#random(200), learn);
    for (const { from, to, run } of this.#held.splice(0)) this.#stream(from, to, run, 200);
  }

  /** A vote that this node's machine would not cast, sealed by it all the same. */
  forge(by: Node, vote: Votes): void {
    for (const to of this.nodes) if (to !== by) this.#send(by, to, { type: 'vote', vote, wide: true });
  }

  #perform(node: Node, effect: Effect): void {
    switch (effect.type) {
      case 'dial':
        return this.#dial(node, effect);
      case 'hang-up':
        return this.agenda.after(0, () => this.#close(node, this.#byPeerId(effect.peerId)));
      case 'beat':
        for (const peerId of effect.peerIds)
          this.#send(node, this.#byPeerId(peerId), { type: 'beat', stamp: effect.stamp });
        return;
      case 'watch':
        return this.#send(node, this.#byPeerId(effect.peerId), { type: 'watch', on: effect.on });
      case 'probe':
        return this.#probe(node, effect);
      case 'vote':
        node.votes.push({ ...effect.vote, at: this.agenda.now });
        for (const to of effect.wide ? this.nodes : node.links) if (to !== node) this.#send(node, to, effect);
        return;
      case 'refute':
        node.incarnation++;
        for (const to of this.nodes) if (this.carries(node, to)) this.#tellRecord(node, to);
        return;
      case 'judged':
        return this.#onJudged(node, effect);
      // Nobody compares views here, so nobody hears of what others hold.
      case 'accuse':
      case 'isolated':
      case 'unreached':
        return;
      case 'fact':
        node.facts.push({ at: this.agenda.now, fact: effect.fact });
    }
  }

  #onJudged(by: Node, { id, health }: { readonly id: MemberId; readonly health: Health }): void {
    const of = this.#byId(id);
    const isThere = of.life === 'running' || of.life === 'stopped';
    // A probe that was under way when the network healed still found what was so.
    const isFault = this.carries(by, of) && this.agenda.now > this.#healedAt + 300;
    if (health !== 'dead' || !isThere || !isFault) return;
    this.wrongs.push({ at: this.agenda.now, by: by.id, of: id });
  }

  #tellRecord(from: Node, to: Node): void {
    if (from.life !== 'running') return;
    const { id, incarnation } = from;
    this.agenda.after(this.#delay(), () => to.give({ type: 'recorded', id, incarnation, left: false }));
  }

  #send(from: Node, to: Node, body: Body): void {
    const isWide = body.type === 'vote' && body.wide;
    if (!isWide && !from.links.has(to)) return;
    const run = (): void => this.#arrive(from, to, body);
    if (!this.carries(from, to) || to.life === 'dark' || from.life === 'dark') {
      if (!isWide) this.#held.push({ from, to, run });
      return;
    }
    if (isWide) this.agenda.after(this.#delay(), run);
    else this.#stream(from, to, run, 0);
  }

  #stream(from: Node, to: Node, run: () => void, ms: number): void {
    const stream = `${from.id} ${to.id}`;
    const at = Math.max(this.#arrivals.get(stream) ?? 0, this.agenda.now + ms + this.#delay());
    this.#arrivals.set(stream, at);
    this.agenda.at(at, () => {
      if (from.links.has(to)) run();
    });
  }

  #arrive(from: Node, to: Node, body: Body): void {
    const { peerId } = from.binding;
    if (body.type === 'beat') return to.give({ type: 'beat', peerId, stamp: body.stamp });
    if (body.type === 'watch' || !body.wide) to.give({ type: 'heard', peerId });
    if (body.type === 'watch') to.give({ ...body, peerId });
    else to.give({ type: 'voted', by: from.id, vote: body.vote });
  }

  #dial(
    from: Node,
    { id, peerId }: { readonly id: MemberId; readonly peerId: string },
    isRepeated = false,
  ): void {
    const to = this.#byPeerId(peerId);
    const fail = (why: DialFailure, ms: number): void =>
      this.agenda.after(ms, () => from.give({ type: 'dial-failed', id, peerId, why }));
    if (to.life === 'killed' && this.carries(from, to)) return fail('refused', 1);
    if (to.life === 'replaced' && this.carries(from, to)) return fail('replaced', 1);
    if (to.life !== 'running' || !this.carries(from, to)) {
      if (isRepeated) return fail('silent', 2_000);
      return this.agenda.after(1_000, () => this.#dial(from, { id, peerId }, true)); // the kernel repeats its SYN
    }
    this.agenda.after(5 + this.#delay(), () => {
      if (from.life !== 'running' || to.life !== 'running' || !this.carries(from, to))
        return fail('silent', 1);
      if (!from.links.has(to)) {
        from.links.add(to);
        to.links.add(from);
        to.give({ type: 'connected', peerId: from.binding.peerId });
      }
      from.give({ type: 'connected', peerId });
    });
  }

  #close(one: Node, other: Node): void {
    if (!one.links.delete(other)) return;
    other.links.delete(one);
    one.give({ type: 'disconnected', peerId: other.binding.peerId });
    const learn = (): void => {
      if (!one.links.has(other)) other.give({ type: 'disconnected', peerId: one.binding.peerId });
    };
    const reaches = one.life !== 'dark' && other.life !== 'dark' && this.carries(one, other);
    if (reaches) this.agenda.after(1 + this.#random(2), learn);
    else this.#halfOpen.push(learn);
  }

  #probe(from: Node, { id, round, ms }: Extract<Effect, { type: 'probe' }>): void {
    const to = this.#byId(id);
    const reaches =
      from.life !== 'dark' && to.life !== 'dark' && this.carries(from, to) && this.carries(to, from);
    const answered: Outcome = to.life === 'killed' ? 'refused' : 'answered';
    const outcome: Outcome = reaches ? answered : 'silent';
    const answer = (): void => from.give({ type: 'probed', id, round, outcomes: [outcome, outcome] });
    this.agenda.after(reaches ? 1 + this.#random(2) : ms, answer);
  }

  #byPeerId(peerId: string): Node {
    return this.node(Number(peerId.slice('peer-'.length)));
  }

  #byId(id: MemberId): Node {
    return this.node(Number(id.slice('i-'.length)));
  }

  #delay(): number {
    const late = this.#random(100) < this.latePercent ? 200 + this.#random(200) : 0;
    return 1 + this.#random(4) + late;
  }

  #random(bound: number): number {
    const [value, rng] = draw(this.#rng, bound);
    this.#rng = rng;
    return value;
  }
}
