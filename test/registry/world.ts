/**
 * Registries that talk through the production codec under virtual time: gossip and direct messages take 1-20 ms, each
 * node beats to eight others every 540 ms, and what is lost is drawn from the seed.
 */
import { decode, encode, type Message } from '../../src/node/message.ts';
import type { Effect, Event } from '../../src/registry/events.ts';
import type { NodeRecord } from '../../src/registry/record.ts';
import { deadline, recordOf, step, viewHash } from '../../src/registry/records.ts';
import { init, type State } from '../../src/registry/state.ts';
import type { MemberId } from '../../src/std/member-id.ts';
import { draw } from '../../src/std/random.ts';
import { instant } from '../../src/std/time.ts';
import { record, sealOf } from './rig.ts';

const turnMs = 5;
const beatMs = 540;
const beatenCount = 8;

export type Faults = {
  /** Share of gossip and of direct messages that do not arrive. */
  readonly gossipLost: number;
  readonly directLost: number;
  readonly duplicated: number;
};
export const noFaults: Faults = { gossipLost: 0, directLost: 0, duplicated: 0 };

type Node = { readonly name: string; readonly state: State };

export class World {
  readonly nodes: readonly Node[];
  now = 0;
  faults: Faults;
  /** Bytes sent on direct streams, beats included. */
  bytes = 0;
  /** What a member said of another one in two different ways, newer first: must stay empty. */
  readonly backwards: string[] = [];
  readonly #inFlight = new Map<number, (() => void)[]>();
  readonly #newest = new Map<string, NodeRecord>();
  #rng = { seed: 7 };

  constructor(count: number, faults: Faults) {
    this.faults = faults;
    this.nodes = Array.from({ length: count }, (_, i) => {
      const name = String(i).padStart(4, '0');
      const own = record(name, { incarnation: 1_000 + i });
      return { name, state: init(own, sealOf(own.peerId), { seed: i }) };
    });
  }

  /** Everyone learns of everyone from discovery; each connects to the `degree` that follow it in a ring. */
  begin(degree: number): void {
    for (const node of this.nodes)
      for (const other of this.nodes)
        this.deliver(node, { type: 'bound', id: other.state.own.id, peerId: other.state.own.peerId });
    for (const [i, node] of this.nodes.entries())
      for (let step = 1; step <= degree; step++) this.connect(node, this.#at(i + step ** 2));
  }

  connect(a: Node, b: Node): void {
    if (a === b || a.state.peers.has(b.state.own.peerId)) return;
    this.deliver(a, { type: 'connected', peerId: b.state.own.peerId });
    this.deliver(b, { type: 'connected', peerId: a.state.own.peerId });
  }

  deliver(node: Node, event: Event): void {
    const [, effects] = step(node.state, event, instant(this.now));
    for (const effect of effects) this.#perform(node, effect);
  }

  /** Runs until `done`, at the longest `ms`; how long it took, or null. */
  run(ms: number, done: () => boolean = () => false): number | null {
    const begun = this.now;
    for (; this.now < begun + ms; this.now += turnMs) {
      for (const arrive of this.#inFlight.get(this.now) ?? []) arrive();
      this.#inFlight.delete(this.now);
      for (const [i, node] of this.nodes.entries()) {
        if (deadline(node.state) <= this.now) this.deliver(node, { type: 'tick' });
        if ((this.now + i * turnMs) % beatMs === 0) this.#beat(node);
      }
      if (this.now % 50 === 0 && done()) return this.now - begun;
    }
    return null;
  }

  agree(): boolean {
    const views = new Set(this.nodes.map(({ state }) => JSON.stringify(viewHash(state))));
    return views.size === 1;
  }

  /** Whether everyone holds everyone's own newest record. */
  complete(): boolean {
    const own = this.nodes.map(({ state }) => state.own);
    return this.nodes.every(({ state }) =>
      own.every(({ id, incarnation, sequence }) => {
        const held = recordOf(state, id);
        return held?.incarnation === incarnation && held.sequence === sequence;
      }),
    );
  }

  #beat({ state }: Node): void {
    const hash = viewHash(state);
    for (const peerId of [...state.peers.keys()].slice(0, beatenCount))
      this.#send(state.own.peerId, peerId, { type: 'beat', hash, stamp: 0 });
  }

  #perform(node: Node, effect: Effect): void {
    const { peerId } = node.state.own;
    switch (effect.type) {
      case 'gossip':
        for (const other of this.nodes)
          if (other !== node && !this.#chance(this.faults.gossipLost))
            this.#gossip(peerId, other, effect.message);
        return;
      case 'send':
        return this.#send(peerId, effect.peerId, effect.message);
      case 'recorded':
        return this.#watchOrder(node.name, effect.record);
      case 'stranger':
      case 'rumoured':
      case 'accused':
      case 'fact':
        return;
    }
  }

  #gossip(author: string, to: Node, message: Message): void {
    const body = encode(message);
    this.#later(() => this.#arrive(to, author, body, 'gossip'));
    if (this.#chance(this.faults.duplicated)) this.#later(() => this.#arrive(to, author, body, 'gossip'));
  }

  #send(from: string, to: string, message: Message): void {
    const node = this.nodes.find(({ state }) => state.own.peerId === to);
    if (node === undefined) return;
    const body = encode(message);
    this.bytes += body.byteLength;
    if (this.#chance(this.faults.directLost)) return;
    this.#later(() => this.#arrive(node, from, body, 'direct'));
    if (this.#chance(this.faults.duplicated)) this.#later(() => this.#arrive(node, from, body, 'direct'));
  }

  #arrive(node: Node, author: string, body: Uint8Array, via: 'direct' | 'gossip'): void {
    const message = decode(body);
    if (message?.type === 'beat') this.deliver(node, { type: 'beaten', peerId: author, hash: message.hash });
    if (message !== null && isRegistrys(message))
      this.deliver(node, { type: 'message', author, message, via });
  }

  #watchOrder(name: string, next: NodeRecord): void {
    const key = `${name} ${next.id}`;
    const last = this.#newest.get(key);
    const isOlder =
      last !== undefined &&
      (next.incarnation < last.incarnation ||
        (next.incarnation === last.incarnation && next.sequence <= last.sequence));
    if (isOlder) this.backwards.push(key);
    this.#newest.set(key, next);
  }

  #later(arrive: () => void): void {
    const at = this.now + turnMs * (1 + this.#draw(4));
    const due = this.#inFlight.get(at);
    if (due === undefined) this.#inFlight.set(at, [arrive]);
    else due.push(arrive);
  }

  #chance(share: number): boolean {
    return share > 0 && this.#draw(1_000) < share * 1_000;
  }

  #draw(bound: number): number {
    const [value, next] = draw(this.#rng, bound);
    this.#rng = next;
    return value;
  }

  #at(i: number): Node {
    return this.nodes[i % this.nodes.length]!;
  }
}

const isRegistrys = (message: Message): message is Extract<Event, { type: 'message' }>['message'] =>
  ['record', 'records', 'hashes', 'entries', 'want'].includes(message.type);

export const idOf = ({ state }: Node): MemberId => state.own.id;
