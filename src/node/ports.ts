/**
 * What the node needs of the world, in its own words. Adapters on the floor above implement these; the simulator
 * implements them again under virtual time.
 */
import type { Entry as Vouched } from '../discovery/events.ts';
import type { Event as EngineEvent, Order } from '../engine/orders.ts';
import type { Path, Reading } from '../spot/notices.ts';
import type { Instant, WallTime } from '../std/time.ts';

export type Clock = {
  /** Never goes back, and has nothing to do with the time of day. */
  now(): Instant;
  wallNow(): WallTime;
  /** Calls `wake` once, at or after `at`. The returned function disarms it. */
  wakeAt(at: Instant, wake: () => void): () => void;
};

/** Where a peer can be reached: IPv4 or DNS name, and TCP port of its libp2p listener. */
export type PeerAddress = { readonly host: string; readonly port: number };

/** One running (or pending) instance of the cluster, as the tags tell it. */
export type Sighting = {
  readonly instanceId: string;
  /** The libp2p peer id in the tag SynktiPeerId; null while the instance has not tagged itself yet. */
  readonly peerId: string | null;
  readonly address: PeerAddress | null;
  readonly zone: string;
  readonly role: string;
  /** It said goodbye (tag SynktiState=left): never dial it, whatever else its tags say. */
  readonly left: boolean;
};

/** The cloud's API. Every call may throw a Failure; none shrinks anything by failing. */
export type Cloud = {
  /** Every pending or running instance with the cluster's tag, all pages. A partial answer is a Failure. */
  sightings(signal: AbortSignal): Promise<readonly Sighting[]>;
  /** Writes tags on the own instance; retries while EC2 does not know the instance yet. */
  tagSelf(tags: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void>;
  /** Deletes tags of the own instance, by key. Failure `denied` where the policy forbids it. */
  untagSelf(keys: readonly string[], signal: AbortSignal): Promise<void>;
};

/** The others as this node last had word of them, and when that was. */
export type Remembered = { readonly members: readonly Vouched[]; readonly asOf: WallTime };

/** What the next life of this node on this machine is to know of the others. As well as it goes: neither tells of its end. */
export type Memory = {
  /** In place of what was kept before. */
  keep(remembered: Remembered): void;
  /** This node has said goodbye: whoever starts here next is new. */
  erase(): void;
};

export type NetworkEvents = {
  /** A connection to this peer stands, in either direction; at most one of these before the next `disconnected`. */
  connected(peerId: string): void;
  /** The last connection to this peer is gone. */
  disconnected(peerId: string): void;
  /**
   * `author` has been authenticated: by Noise for `direct`, by its gossip signature for `gossip`. The bytes of `body` are
   * the receiver's during the call only.
   */
  message(author: string, body: Uint8Array, via: 'direct' | 'gossip'): void;
  /** Asked once a handshake has proven the peer id; a denied peer is cut. Never throws. */
  admit(peerId: string): Promise<boolean>;
};

/** The peer-to-peer network. */
export type Network = {
  readonly peerId: string;
  /**
   * Resolves when a connection stands; dialling a connected peer resolves at once. Failure `missing`: the kernel of the
   * other machine says that no process listens there; `late`: no answer; `denied`: somebody else answers there,
   * or the peer turned us away.
   */
  dial(peer: { readonly peerId: string; readonly address: PeerAddress }, signal: AbortSignal): Promise<void>;
  /** Closes every connection to this peer. */
  hangUp(peerId: string): Promise<void>;
  /** From now on peers get a gossip stream too; until then nobody hears what we gossip, unless it has opened one to us. */
  openGossip(): void;
  /** To every subscriber, best effort: who must not miss it hears it again on a direct stream. */
  gossip(body: Uint8Array): void;
  /** On the long-lived direct stream to a connected peer, in order; false when it is not connected or too slow. */
  send(peerId: string, body: Uint8Array): boolean;
  close(): Promise<void>;
};

/** Carries out the supervision's orders on a real process, and answers each with the order's `life`. */
export type EngineHost = {
  perform(order: Order, answer: (event: EngineEvent) => void): void;
  /** Lets go of everything but the engine itself, which outlives the daemon. */
  close(): Promise<void>;
};

/** Reads one sign of leaving from the instance metadata; null: there is nothing. Throws a Failure. */
export type ReadNotice = (path: Path, signal: AbortSignal) => Promise<Reading | null>;

/**
 * One TCP SYN to the peer's libp2p port: what its kernel says of the process. `silent`: nothing came within `ms`. The
 * connection is closed once it has stood for `standMs`; where it is reset before that, as by a kernel that closes what a
 * killed process listened on, another SYN asks once more. Rejects with a Failure when the question could not be put,
 * which says nothing of the peer.
 */
export type Probe = (
  address: PeerAddress,
  patience: { readonly ms: number; readonly standMs: number },
) => Promise<'answered' | 'refused' | 'silent'>;

/** A small text in S3, and the ETag by which a writer proves that he has seen it. */
export type Document = { readonly body: string; readonly etag: string };

/**
 * unmet: what stands there is not what the writer has seen, and nothing was written. conflict: another write was under
 * way, and nothing was written; read again before trying again.
 */
export type Written =
  | { readonly type: 'written'; readonly etag: string }
  | { readonly type: 'unmet' }
  | { readonly type: 'conflict' };

/**
 * Conditional writes, the referee of leases. After a Failure of a write (`busy`, `unreachable`, `late`) it may have
 * happened all the same, or happen yet. `denied`, `missing` (no such bucket) and `invalid` need a person.
 */
export type LeaseStore = {
  /** null: no such key. */
  read(key: string, signal: AbortSignal): Promise<Document | null>;
  /** Only if there is nothing yet. */
  create(key: string, body: string, signal: AbortSignal): Promise<Written>;
  /** Only if what is there has still this ETag. */
  replace(key: string, document: Document, signal: AbortSignal): Promise<Written>;
};
