/**
 * Many discovery machines in virtual time against one EC2 with the buckets of an account: 100 calls at once, 20 a
 * second. Whoever is up and bound to each other hears vouchers, and membership calls it alive; a newcomer dials a few
 * of those that it found and is a stranger to those that do not know it.
 */
import type { Effect, Entry, Event, Listed } from '../../src/discovery/events.ts';
import * as discovery from '../../src/discovery/discovery.ts';
import { init, type State } from '../../src/discovery/state.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import { draw, type Rng } from '../../src/std/random.ts';
import { after, instant, type Instant } from '../../src/std/time.ts';

type Node = {
  readonly id: MemberId;
  readonly peerId: string;
  readonly zone: string;
  readonly tagsVisibleAt: Instant;
  up: boolean;
  listed: boolean;
  state: State | null;
  armedFor: number;
};
type Task = { readonly at: number; readonly order: number; readonly run: () => void };
type Call = { readonly at: number; readonly by: MemberId; readonly throttled: boolean };

const burst = 100;
const perSecond = 20;
/** An answer of EC2, and a message through the mesh of a thousand. */
const answerMs = 300;
const gossipMs = 150;
const exchangeMs = 5_000;
/** The SDK's standard mode tries once more, after up to 0.5 s where it was throttled. */
const retriesMs = [500];

export class World {
  now = instant(0);
  readonly calls: Call[] = [];
  readonly facts: string[] = [];
  /** What EC2 does: fails every call, or tells of the listed only what passes. */
  outage = false;
  tells: (one: Listed) => boolean = () => true;
  /** Whether vouchers arrive. */
  gossip = true;
  readonly nodes = new Map<MemberId, Node>();
  readonly #tasks: Task[] = [];
  #order = 0;
  #rng: Rng = { seed: 7 };
  #tokens = burst;
  #refilledAt = 0;

  start(id: string, { zone = 'a', lagMs = 500 }: { zone?: string; lagMs?: number } = {}): void {
    const member = memberId(id);
    const node: Node = {
      id: member,
      peerId: `peer-${id}`,
      zone,
      tagsVisibleAt: after(this.now, lagMs),
      up: true,
      listed: true,
      state: null,
      armedFor: Infinity,
    };
    this.nodes.set(member, node);
    const options = {
      selfId: member,
      selfPeerId: node.peerId,
      listing: 'shared' as const,
      discoveryMs: 30_000,
      epochOffsetMs: 1_790_000_000_000,
    };
    node.state = init(options, { seed: this.#draw(2 ** 32) }, this.now);
    this.#arm(node);
    this.at(this.now + this.#draw(exchangeMs), () => this.#exchange(node));
  }

  at(ms: number, run: () => void): void {
    const task = { at: ms, order: this.#order++, run };
    this.#tasks.push(task);
    let child = this.#tasks.length - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!isBefore(task, this.#tasks[parent]!)) break;
      this.#tasks[child] = this.#tasks[parent]!;
      child = parent;
    }
    this.#tasks[child] = task;
  }

  runUntil(ms: number): void {
    for (let next = this.#tasks[0]; next !== undefined && next.at <= ms; next = this.#tasks[0]) {
      this.#pop();
      this.now = instant(Math.max(this.now, next.at));
      next.run();
    }
    this.now = instant(ms);
  }

  /** The process is gone, and the others know. */
  kill(id: string, { listed }: { readonly listed: boolean }): void {
    const node = this.nodes.get(memberId(id))!;
    node.up = false;
    node.listed = listed;
    node.state = null;
    for (const other of this.nodes.values()) {
      this.deliver(other, { type: 'judged', id: node.id, live: false, left: false });
    }
  }

  deliver(node: Node, event: Event): void {
    if (node.state === null) return;
    const [state, effects] = discovery.step(node.state, event, this.now);
    node.state = state;
    for (const effect of effects) this.#perform(node, effect);
    this.#arm(node);
  }

  bound(id: string): readonly string[] {
    return [...this.nodes.get(memberId(id))!.state!.bindings.members.keys()].sort();
  }

  /** Pairs of running nodes of which one does not know the other. */
  missing(): number {
    const up = [...this.nodes.values()].filter((node) => node.up);
    let count = 0;
    for (const one of up)
      for (const { id, peerId } of up)
        if (one.id !== id && !discovery.isAdmitted(one.state!, peerId)) count++;
    return count;
  }

  callsWithin(from: number, to: number): readonly Call[] {
    return this.calls.filter(({ at }) => at >= from && at < to);
  }

  #perform(node: Node, effect: Effect): void {
    switch (effect.type) {
      case 'look':
        return this.#call(node, 0);
      case 'bound':
        return this.#onBound(node, effect.binding.id);
      case 'vouch':
        return this.#vouch(node, effect);
      case 'ask':
        return this.#ask(node, effect.peerIds);
      case 'fact':
        return void this.facts.push(effect.fact.fact);
      case 'unbound':
      case 'disputed':
      case 'barred':
      case 'settled':
      case 'remember':
        return;
    }
  }

  #call(node: Node, tries: number): void {
    const throttled = !this.#take();
    this.calls.push({ at: this.now, by: node.id, throttled });
    const wait = retriesMs[tries];
    if ((throttled || this.outage) && wait !== undefined)
      return this.at(this.now + 1 + this.#draw(wait), () => this.#call(node, tries + 1));
    const event: Event =
      throttled || this.outage
        ? { type: 'look-failed', kind: throttled ? 'busy' : 'unreachable', why: 'list instances' }
        : { type: 'looked', listed: this.#listing() };
    this.at(this.now + answerMs, () => this.deliver(node, event));
  }

  #take(): boolean {
    this.#tokens = Math.min(burst, this.#tokens + ((this.now - this.#refilledAt) / 1_000) * perSecond);
    this.#refilledAt = this.now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  #listing(): Listed[] {
    return [...this.nodes.values()]
      .filter(({ listed, tagsVisibleAt }) => listed && tagsVisibleAt <= this.now)
      .map(({ id, peerId, zone }) => ({
        id,
        peerId,
        address: { host: `host-${id}`, port: 4001 },
        zone,
        role: 'worker',
        left: false,
      }))
      .filter((one) => this.tells(one));
  }

  /** Who is bound is dialled by one in sixteen or more, as in a mesh; both then know that the other lives. */
  #onBound(node: Node, id: MemberId): void {
    const other = this.nodes.get(id);
    if (other === undefined || !other.up) return;
    if (this.#draw(Math.max(1, Math.ceil(this.nodes.size / 16))) === 0) this.#dial(node, other, 0);
    this.#acquaint(node, other);
  }

  /** A denied dial is tried again, ever more rarely. */
  #dial(node: Node, other: Node, tries: number): void {
    if (!node.up || !other.up || other.state === null || tries > 8) return;
    if (discovery.isAdmitted(other.state, node.peerId)) return;
    this.at(this.now + 2, () => this.deliver(other, { type: 'stranger', peerId: node.peerId, isHere: true }));
    this.at(this.now + 1_000 * 2 ** tries, () => this.#dial(node, other, tries + 1));
  }

  /** As records are: compared with some other node, and whoever signed one that is new is a stranger. */
  #exchange(node: Node): void {
    if (!node.up) return;
    const others = [...this.nodes.values()];
    const other = others[this.#draw(others.length)]!;
    if (other.up && discovery.isAdmitted(node.state!, other.peerId)) {
      const unknown = others.filter(
        ({ up, peerId }) =>
          up && discovery.isAdmitted(other.state!, peerId) && !discovery.isAdmitted(node.state!, peerId),
      );
      for (const { id, peerId } of unknown.slice(0, 64))
        if (id !== node.id) this.deliver(node, { type: 'stranger', peerId, isHere: false });
    }
    this.at(this.now + exchangeMs, () => this.#exchange(node));
  }

  #acquaint(node: Node, other: Node): void {
    if (other.state === null || !discovery.isAdmitted(other.state, node.peerId)) return;
    for (const [one, two] of [[node, other] as const, [other, node] as const])
      this.at(this.now, () => this.deliver(one, { type: 'judged', id: two.id, live: two.up, left: false }));
  }

  #vouch(
    node: Node,
    { entries, to }: { readonly entries: readonly Entry[]; readonly to: string | null },
  ): void {
    if (!this.gossip) return;
    for (const other of this.nodes.values())
      if (other !== node && other.up && (to === null || to === other.peerId))
        this.at(this.now + gossipMs, () => this.deliver(other, { type: 'vouched', by: node.id, entries }));
  }

  /** Three of those that it knows, and that know it. */
  #ask(node: Node, peerIds: readonly string[]): void {
    const others = [...this.nodes.values()];
    for (let asked = 0, tries = 0; asked < 3 && tries < 30; tries++) {
      const other = others[this.#draw(others.length)]!;
      if (other === node || !other.up || !discovery.isAdmitted(node.state!, other.peerId)) continue;
      asked++;
      this.at(this.now + 1, () => this.deliver(other, { type: 'asked', by: node.id, peerIds }));
    }
  }

  #arm(node: Node): void {
    if (node.state === null) return;
    const at = discovery.deadline(node.state);
    if (at === Infinity || (at === node.armedFor && at > this.now)) return;
    node.armedFor = at;
    this.at(Math.max(at, this.now), () => {
      if (node.armedFor !== at) return;
      node.armedFor = Infinity;
      this.deliver(node, { type: 'tick' });
    });
  }

  #draw(bound: number): number {
    const [value, rng] = draw(this.#rng, bound);
    this.#rng = rng;
    return value;
  }

  #pop(): void {
    const last = this.#tasks.pop()!;
    if (this.#tasks.length === 0) return;
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      if (child >= this.#tasks.length) break;
      if (child + 1 < this.#tasks.length && isBefore(this.#tasks[child + 1]!, this.#tasks[child]!)) child++;
      if (!isBefore(this.#tasks[child]!, last)) break;
      this.#tasks[parent] = this.#tasks[child]!;
      parent = child;
    }
    this.#tasks[parent] = last;
  }
}

const isBefore = (one: Task, other: Task): boolean =>
  one.at < other.at || (one.at === other.at && one.order < other.order);
