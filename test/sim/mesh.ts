/**
 * gossipsub as a mesh of hops over the connections that stand. The author tells everyone it is connected to
 * (floodPublish), whoever hears it first tells a few others, and heartbeats repair what was lost on the way a second
 * later. Each hop costs the time that js-libp2p takes for a message. What it does not promise, it does not do: messages
 * overtake each other, may come twice, and get lost.
 */
import type { Dice } from './dice.ts';
import { frameBytes, type End, type Station } from './network.ts';
import { Bag } from './overlaps.ts';
import { kinds } from './process.ts';
import type { EventQueue } from './queue.ts';
import type { Terrain } from './terrain.ts';

/** Measured for js gossipsub over Noise and Yamux, signature included, ms. */
const hopMs = 1.5;
const jitterMs = 3;
const meshDegree = 8;
const heartbeatMs = 1_000;
/** Late copies come within this, ms. */
const echoMs = 3_000;

export class GossipMesh {
  /** Of all hops. 1: pubsub is lost entirely. */
  loss = 0;
  /** Of all deliveries, a second time and later. */
  echoes = 0;
  published = 0;
  /** Paths over which no gossip passes although the connection stands: `from` and `to` peer id. */
  readonly blackHoles = new Bag<string>();
  readonly #queue: EventQueue;
  readonly #terrain: Terrain;
  readonly #dice: Dice;
  /** How many could hear. */
  readonly #everybody: () => number;

  constructor(parts: { queue: EventQueue; terrain: Terrain; dice: Dice }, everybody: () => number) {
    this.#everybody = everybody;
    this.#queue = parts.queue;
    this.#terrain = parts.terrain;
    this.#dice = parts.dice.for('mesh');
  }

  publish(author: Station, body: Uint8Array): void {
    this.published++;
    author.heardMessage = this.published;
    author.heardAt = this.#queue.now;
    const inOrder = [author];
    const everybody = this.#everybody();
    for (const teller of inOrder) {
      if (inOrder.length >= everybody) return;
      if (teller !== author && (teller.process.paused || !teller.process.alive)) continue;
      const degree = teller === author ? Infinity : meshDegree;
      this.#tell(teller, degree, { body, author, inOrder });
    }
  }

  #tell(
    teller: Station,
    degree: number,
    said: {
      readonly body: Uint8Array;
      readonly author: Station;
      readonly inOrder: Station[];
    },
  ): void {
    const { inOrder } = said;
    const since = teller.heardAt;
    let told = 0;
    for (const end of teller.ends.values()) {
      const hearer = end.peer;
      if (hearer.heardMessage === this.published || !(teller.gossips || hearer.gossips)) continue;
      if (++told > degree) break;
      teller.sentBytes += said.body.byteLength + frameBytes;
      const at = this.#arrival(end, since);
      if (at === null) continue;
      hearer.heardMessage = this.published;
      hearer.heardAt = at;
      inOrder.push(hearer);
      this.#queue.push(at, hearer.process, kinds.gossip, said.author.peerId, said.body);
      if (!this.#dice.hits(this.echoes)) continue;
      const again = at + this.#dice.unit() * echoMs;
      this.#queue.push(again, hearer.process, kinds.gossip, said.author.peerId, said.body);
    }
  }

  /** null: not by this way. */
  #arrival({ station: from, other }: End, since: number): number | null {
    const to = other.station;
    if (!other.open || !this.#terrain.carries(from.host, to.host, this.#queue.now)) return null;
    if (!this.blackHoles.isEmpty && this.blackHoles.has(`${from.peerId} ${to.peerId}`)) return null;
    if (this.loss >= 1) return null;
    const repaired = this.#dice.hits(this.loss) ? this.#dice.unit() * heartbeatMs : 0;
    const delay = hopMs + this.#dice.unit() * jitterMs + this.#terrain.way(from.host, to.host);
    return since + delay + repaired + this.#terrain.repeats(from.host, to.host);
  }
}
