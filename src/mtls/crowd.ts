/**
 * Who may have how many connections at the listener for peers. As long as a connection has not proven whose it is, and
 * that it is a member's, it is a stranger's. Of those there is a number apart, and where that is reached the oldest of the
 * address that has most gives way to the new one; who is let in counts as its peer's, of whom each may have so many. So
 * neither strangers nor a peer keep others out.
 */
import type { Socket } from 'node:net';
import { Failure } from '../std/failure.ts';

export type Bounds = {
  readonly strangersMax: number;
  /** Of all members together. */
  readonly membersMax: number;
  /** Of one of them. */
  readonly memberMax: number;
};

/** What identifies a connection at one listener, under TLS and above it. */
const endOf = ({ remoteAddress = '', remotePort = 0 }: Socket): string => `${remoteAddress} ${remotePort}`;

export class Crowd {
  readonly #bounds: Bounds;
  /** By their other ends, the oldest first. */
  readonly #strangers = new Map<string, Socket>();
  readonly #held = new Map<string, number>();
  #members = 0;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  arrive(socket: Socket): void {
    const end = endOf(socket);
    this.#strangers.set(end, socket);
    socket.once('close', () => this.#strangers.delete(end));
    if (this.#strangers.size > this.#bounds.strangersMax) this.#turnOneAway();
  }

  /** Until it closes. Failure `busy`: this peer, or all together, have as many as there may be. */
  letIn(socket: Socket, peerId: string): void {
    const { memberMax, membersMax } = this.#bounds;
    const held = this.#held.get(peerId) ?? 0;
    if (held >= memberMax) throw new Failure('busy', `peer ${peerId}: busy: has ${held} connections`);
    if (this.#members >= membersMax)
      throw new Failure('busy', `peer ${peerId}: busy: all have ${this.#members} connections`);
    this.#strangers.delete(endOf(socket));
    this.#count(peerId, 1);
    socket.once('close', () => this.#count(peerId, -1));
  }

  #count(peerId: string, change: 1 | -1): void {
    const held = (this.#held.get(peerId) ?? 0) + change;
    if (held === 0) this.#held.delete(peerId);
    else this.#held.set(peerId, held);
    this.#members += change;
  }

  #turnOneAway(): void {
    const byAddress = Map.groupBy(this.#strangers, ([, { remoteAddress }]) => remoteAddress).values();
    const [first] = [...byAddress].reduce((most, those) => (those.length > most.length ? those : most), []);
    if (first === undefined) return;
    const [end, oldest] = first;
    this.#strangers.delete(end);
    oldest.destroy();
  }
}
