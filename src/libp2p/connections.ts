/**
 * The connections that each key holds, from the end of its handshake on, ours and its own, and what may come by them.
 *
 * libp2p tells of a peer's first connection only, and counts the others for nobody: one key could take all places there
 * are, each with an allowance of its own. Two are usual for a moment, when both sides dial at once. Who makes a third has
 * lost track of the others, as after a crash that the network hid, or is hostile: the others end and the newest stays,
 * so that whoever starts again gets in whatever we still hold of it.
 */
import type { MultiaddrConnection } from '@libp2p/interface';
import { putNewest } from '../std/bounded.ts';
import { allowances, type Allowance } from './allowance.ts';
import { Partings } from './partings.ts';

const connectionsMax = 2;
/** Of one peer, in messages: a few for each message of ours. A burst: all records of a thousand members. */
const messages = { perSecond: 1_000, burst: 8_000 };
/** A peer that floods us is not let in again for a while: each handshake costs both sides some 7 ms. */
const shunMs = 10_000;
/** The oldest goes first. */
const shunnedMax = 256;

export class Connections {
  readonly #held = new Map<string, Set<MultiaddrConnection>>();
  readonly #allowances = allowances(messages);
  readonly #shunnedUntil = new Map<string, number>();
  readonly #partings: Partings;

  /** `lost`: the other side closed the last connection with this peer; libp2p hears of it a little later. */
  constructor(lost: (peerId: string) => void) {
    this.#partings = new Partings(lost);
  }

  /** false: it was one too many, and the others are gone. */
  hold(peerId: string, connection: MultiaddrConnection): boolean {
    this.finish(peerId);
    if (connection.status !== 'open') return true;
    const held = this.#held.get(peerId) ?? new Set();
    const isRoom = held.size < connectionsMax;
    if (!isRoom) this.end(peerId, 'made a third connection');
    this.#held.set(peerId, held.add(connection));
    this.#partings.watch(peerId, connection, () => held.size === 1);
    connection.addEventListener('close', () => {
      held.delete(connection);
      if (held.size === 0 && this.#held.get(peerId) === held) this.#held.delete(peerId);
    });
    return isRoom;
  }

  end(peerId: string, why: string): void {
    for (const connection of [...(this.#held.get(peerId) ?? [])]) connection.abort(new Error(why));
  }

  /** libp2p hears of a connection with this peer that has ended, if it has not yet. */
  finish(peerId: string): void {
    this.#partings.finish(peerId);
  }

  finishAll(): void {
    this.#partings.finishAll();
  }

  /** One for all connections of a peer, those that it makes later too. */
  allowance(peerId: string): Allowance {
    return this.#allowances.of(peerId);
  }

  isShunned(peerId: string): boolean {
    return (this.#shunnedUntil.get(peerId) ?? 0) > performance.now();
  }

  shun(peerId: string): void {
    const until = performance.now() + shunMs;
    putNewest(this.#shunnedUntil, { key: peerId, value: until, max: shunnedMax });
    this.end(peerId, 'sends more than we take');
  }
}
