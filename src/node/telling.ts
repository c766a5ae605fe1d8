/** Says things to peers: encodes once, however many hear it. */
import type { ViewHash } from '../registry/view-hash.ts';
import type { Codec, Message } from './message.ts';
import type { Network } from './ports.ts';

export class Telling {
  /** null until it listens: there is nobody to tell. */
  network: Network | null = null;
  readonly #codec: Codec;

  constructor(codec: Codec) {
    this.#codec = codec;
  }

  to(peerId: string, message: Message): void {
    this.network?.send(peerId, this.#codec.encode(message));
  }

  toAll(peerIds: Iterable<string>, message: Message): void {
    const body = this.#codec.encode(message);
    for (const peerId of peerIds) this.network?.send(peerId, body);
  }

  beat(
    { peerIds, stamp }: { readonly peerIds: readonly string[]; readonly stamp: number },
    hash: ViewHash,
  ): void {
    this.toAll(peerIds, { type: 'beat', hash, stamp });
  }

  byGossip(message: Message): void {
    this.network?.gossip(this.#codec.encode(message));
  }
}
