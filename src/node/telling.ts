/** Says things to peers: encodes once, however many hear it. */
import type { ViewHash } from '../registry/view-hash.ts';
import type { Codec, Message } from './message.ts';
import type { Network } from './ports.ts';

export class Telling {
  /** null until it listens: there is nobody to tell. */
  network: Network | null = null;
  #turns = 0;
  readonly #codec: Codec;
  readonly #connected: () => Iterable<{ readonly peerId: string }>;

  constructor(codec: Codec, connected: () => Iterable<{ readonly peerId: string }>) {
    this.#codec = codec;
    this.#connected = connected;
  }

  to(peerId: string, message: Message): void {
    this.network?.send(peerId, this.#codec.encode(message));
  }

  toConnected(message: Message): void {
    const body = this.#codec.encode(message);
    for (const { peerId } of this.#connected()) this.network?.send(peerId, body);
  }

  /** To so many of those that we are connected with, to each of them in turn. */
  toSome(count: number, message: Message): void {
    const all = [...this.#connected()];
    const body = this.#codec.encode(message);
    for (let i = 0; i < Math.min(count, all.length); i++)
      this.network?.send(all[this.#turns++ % all.length]!.peerId, body);
  }

  /** `wide`: there are more than we are connected with. */
  toEverybody(message: Message, wide: boolean): void {
    if (wide) this.byGossip(message);
    else this.toConnected(message);
  }

  beat(
    { peerIds, stamp }: { readonly peerIds: readonly string[]; readonly stamp: number },
    hash: ViewHash,
  ): void {
    const body = this.#codec.encode({ type: 'beat', hash, stamp });
    for (const peerId of peerIds) this.network?.send(peerId, body);
  }

  byGossip(message: Message): void {
    this.network?.gossip(this.#codec.encode(message));
  }
}
