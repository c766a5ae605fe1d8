/**
 * The end of a connection, in two parts. That it ended is told at once; what libp2p then does about it (streams, muxer, its
 * own lists, gossip) takes 2 ms, and follows a little later, or as soon as anybody has to do with that peer again.
 *
 * Everybody who was connected with a process that died does this at the same moment, and those who ask its kernel what
 * became of it should not have to wait for that: on a machine that runs many nodes it doubles the time until all know.
 */
import type { MultiaddrConnection } from '@libp2p/interface';

/** Longer than a death takes to be known, and shorter than a redial is delayed. */
const restMs = 250;

/** Of every transport of libp2p; a test sees it at work. */
type Ending = MultiaddrConnection & { onTransportClosed(error?: Error): void };

export class Partings {
  readonly #rests = new Map<string, () => void>();
  readonly #lost: (peerId: string) => void;

  /** `lost`: the other side closed the only connection that there was with this peer. */
  constructor(lost: (peerId: string) => void) {
    this.#lost = lost;
  }

  watch(peerId: string, connection: MultiaddrConnection, isOnly: () => boolean): void {
    const ending = connection as Ending;
    const { onTransportClosed } = ending;
    let isPart = false;
    ending.onTransportClosed = (error) => {
      // A socket tells that the other side ended, and again when both have.
      if (isPart && error === undefined) return;
      if (error !== undefined || ending.status !== 'open' || !isOnly())
        return onTransportClosed.call(ending, error);
      isPart = true;
      const timer = setTimeout(() => this.finish(peerId), restMs);
      this.#rests.set(peerId, () => {
        clearTimeout(timer);
        onTransportClosed.call(ending);
      });
      this.#lost(peerId);
    };
  }

  /** What is left to do of the last parting with this peer is done now. */
  finish(peerId: string): void {
    const rest = this.#rests.get(peerId);
    this.#rests.delete(peerId);
    rest?.();
  }

  finishAll(): void {
    for (const peerId of [...this.#rests.keys()]) this.finish(peerId);
  }
}
