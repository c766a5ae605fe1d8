/**
 * The node's network over libp2p: TCP, Noise, Yamux, gossipsub, and one long-lived direct stream per peer and
 * direction.
 *
 * A peer counts as connected while our direct stream to it stands, and it takes that only after it has admitted us
 * too. Whatever breaks (either stream, a frame that is too long, a peer that does not read, gossip that stopped in
 * silence) ends all connections to that peer: both sides see `disconnected`, the peer is dialled afresh, and each tells
 * the other its record again. So nothing that was sent between the two events is lost unnoticed.
 */
import type { Libp2p, MultiaddrConnection, PeerId, PrivateKey, Stream } from '@libp2p/interface';
import type { Network, NetworkEvents, PeerAddress } from '../node/ports.ts';
import { assert } from '../std/assert.ts';
import { Failure } from '../std/failure.ts';
import { allowanceOf, tokensFor, type Allowance } from './allowance.ts';
import { dialFailure, listenFailureOf, multiaddrOf, whyOf } from './address.ts';
import { Connections } from './connections.ts';
import { directProtocol, messageBytesMax, readFrames, sendFrame } from './direct.ts';
import { beginGossip, endGossip, gossipStreamTo, listenToGossip } from './gossip.ts';
import { createNode, gossipTopic, type Services } from './node.ts';

type NetworkOptions = {
  readonly privateKey: PrivateKey;
  /** Port 0: any free one. */
  readonly listen: PeerAddress;
  /** Of this software, as told to peers. */
  readonly version: string;
  /** Whether members gossip such a thing; what they do not is neither heard nor passed on. */
  readonly isGossip: (body: Uint8Array) => boolean;
  /** A peer was turned away or given up, and why: for the log. */
  readonly onRefused: (peerId: string, why: string) => void;
  /** A peer sent more than we take; it was given up, and is not let in for a while. */
  readonly onFlood: (peerId: string) => void;
  /** A message of that peer met a defect of ours. */
  readonly onStumbled: (peerId: string, why: string) => void;
};

/** How long the other side may take to admit us and to take our direct stream; it may have to ask EC2 first. */
const openMs = 5_000;
/** Bounds the answer of `admit`: a stranger must not hold one of the pending handshakes for longer. */
const admitMs = 4_000;
/**
 * Gossip streams are opened one after another: seconds each on a starved machine. One that broke is never opened
 * again, so what is waited for then is only the end of the connection, where that was it.
 */
const gossipGraceMs = { first: 15_000, again: 2_000 };
/** As long as a stream that was under way takes on a machine that is not starved. */
const gossipAgainMs = 2_000;
const watchMs = 1_000;
/**
 * What one peer may send on its direct stream and by gossip together, in messages. Ten a second are usual; a burst is
 * all records of a cluster of a thousand, as after a partition.
 */
const messages = { perSecond: 500, burst: 2_000 };
/** libp2p closes streams, connections and listeners in turn; what does not close by then is cut. */
const closeMs = 3_000;

/** One peer with at least one connection. */
type Peering = {
  readonly peerId: PeerId;
  /** Settles once: null when connected, else why it never came to that. */
  readonly opened: PromiseWithResolvers<Failure | null>;
  /** Our direct stream to it; null until it took it. */
  outbound: Stream | null;
  /** `connected` was told and taken in: its end is to be told too. */
  isTold: boolean;
  /** Its direct stream to us. Read only after `connected`: nobody hears from a peer that it has not heard of. */
  inbound: Stream | null;
  readonly allowance: Allowance;
  /** When the missing gossip stream to it is reason to hang up, ms of performance.now; Infinity: none is wanted. */
  gossipDueAt: number;
  /** When it is asked for once more before that. */
  gossipAgainAt: number;
};

/** Failure `busy` or `denied` when the address cannot be had. */
export async function startNetwork(options: NetworkOptions, events: NetworkEvents): Promise<Libp2pNetwork> {
  const connections = new Connections((peerId) => network.lose(peerId));
  const denies = async (remote: PeerId, connection: MultiaddrConnection): Promise<boolean> => {
    const peerId = remote.toString();
    if (connections.isShunned(peerId)) return true;
    if (!connections.hold(peerId, connection)) options.onRefused(peerId, 'made a third connection');
    const admitted = await admitInTime(events, peerId);
    if (!admitted) options.onRefused(peerId, 'not a member');
    return !admitted;
  };
  const onFlood = (peerId: string): void => {
    connections.shun(peerId);
    options.onFlood(peerId);
  };
  const node = await createNode({
    privateKey: options.privateKey,
    listen: multiaddrOf(options.listen),
    version: options.version,
    gater: { denyInboundEncryptedConnection: denies, denyOutboundEncryptedConnection: denies },
    allowanceOf: (peerId) => connections.allowance(peerId),
    onFlood,
  });
  const network: Libp2pNetwork = new Libp2pNetwork(node, events, connections, { ...options, onFlood });
  try {
    await network.start();
  } catch (error) {
    throw listenFailureOf(options.listen, error);
  }
  return network;
}

async function admitInTime(events: NetworkEvents, peerId: string): Promise<boolean> {
  const late = Promise.withResolvers<false>();
  const timer = setTimeout(late.resolve, admitMs, false);
  try {
    return await Promise.race([events.admit(peerId), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

export class Libp2pNetwork implements Network {
  readonly #node: Libp2p<Services>;
  readonly #events: NetworkEvents;
  readonly #connections: Connections;
  readonly #onRefused: NetworkOptions['onRefused'];
  readonly #onFlood: NetworkOptions['onFlood'];
  readonly #onStumbled: NetworkOptions['onStumbled'];
  readonly #isGossip: NetworkOptions['isGossip'];
  readonly #peerings = new Map<string, Peering>();
  #watch: NodeJS.Timeout | undefined;
  #gossips = false;
  #closed = false;

  constructor(
    node: Libp2p<Services>,
    events: NetworkEvents,
    connections: Connections,
    given: Pick<NetworkOptions, 'onRefused' | 'onFlood' | 'onStumbled' | 'isGossip'>,
  ) {
    this.#node = node;
    this.#events = events;
    this.#connections = connections;
    this.#onRefused = given.onRefused;
    this.#onFlood = given.onFlood;
    this.#onStumbled = given.onStumbled;
    this.#isGossip = given.isGossip;
  }

  async start(): Promise<void> {
    const node = this.#node;
    node.addEventListener('peer:connect', ({ detail }) => void this.#open(detail));
    node.addEventListener('peer:disconnect', ({ detail }) => {
      endGossip(node.services.pubsub, detail);
      this.lose(detail.toString());
    });
    await node.handle(directProtocol, (stream, { remotePeer }) => this.#take(remotePeer.toString(), stream), {
      maxInboundStreams: 1,
      maxOutboundStreams: 1,
    });
    listenToGossip(node.services.pubsub, {
      spend: (neighbour, tokens) => this.#spends(neighbour, tokens),
      isConnected: (peerId) => this.#connected(peerId) !== null,
      admit: (peerId) => admitInTime(this.#events, peerId),
      isGossip: this.#isGossip,
      message: (author, body) => this.#hear(author, body, 'gossip'),
    });
    await node.start();
    node.services.pubsub.subscribe(gossipTopic);
    this.#watch = setInterval(() => this.#watchGossip(), watchMs);
  }

  get peerId(): string {
    return this.#node.peerId.toString();
  }

  /** The port that it really listens on. */
  get port(): number {
    const [address] = this.#node.getMultiaddrs();
    return Number(address?.getComponents().find(({ name }) => name === 'tcp')?.value);
  }

  async dial(
    { peerId, address }: { readonly peerId: string; readonly address: PeerAddress },
    signal: AbortSignal,
  ): Promise<void> {
    if (this.#connected(peerId) !== null) return;
    this.#connections.finish(peerId);
    try {
      signal.throwIfAborted();
      await this.#node.dial(multiaddrOf(address, peerId), { signal });
    } catch (error) {
      throw dialFailure(peerId, address, error);
    }
    const peering = this.#peerings.get(peerId);
    const failure =
      peering === undefined ? cut(peerId, 'cut at once') : await opened(peering, address, signal);
    if (failure !== null) throw failure;
  }

  hangUp(peerId: string): Promise<void> {
    this.#end(peerId, 'hung up');
    return Promise.resolve();
  }

  openGossip(): void {
    if (this.#gossips) return;
    this.#gossips = true;
    for (const peering of this.#peerings.values()) if (peering.outbound !== null) this.#beginGossip(peering);
  }

  gossip(body: Uint8Array): void {
    assert(body.byteLength <= messageBytesMax, 'our own messages are short');
    this.#node.services.pubsub.publish(gossipTopic, body).catch((error: unknown) => {
      if (!this.#closed) this.#onRefused(this.peerId, `gossip: ${whyOf(error)}`);
    });
  }

  send(peerId: string, body: Uint8Array): boolean {
    assert(body.byteLength <= messageBytesMax, 'our own messages are short');
    const stream = this.#connected(peerId);
    if (stream === null) return false;
    if (sendFrame(stream, body)) return true;
    this.#drop(peerId, 'takes less than it is sent');
    return false;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#watch);
    this.#connections.finishAll();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      for (const connection of this.#node.getConnections()) connection.abort(new Error('closing'));
      late.resolve();
    }, closeMs);
    await Promise.race([this.#node.stop(), late.promise]);
    clearTimeout(timer);
    for (const { opened, peerId } of this.#peerings.values())
      opened.resolve(cut(peerId.toString(), 'closing'));
    this.#peerings.clear();
  }

  #connected(peerId: string): Stream | null {
    return this.#peerings.get(peerId)?.outbound ?? null;
  }

  /** The first connection to this peer, in either direction; libp2p tells once even when both dialled at once. */
  async #open(remote: PeerId): Promise<void> {
    const peerId = remote.toString();
    const peering: Peering = {
      peerId: remote,
      opened: Promise.withResolvers(),
      outbound: null,
      isTold: false,
      inbound: null,
      allowance: allowanceOf(messages),
      gossipDueAt: Infinity,
      gossipAgainAt: Infinity,
    };
    this.#peerings.set(peerId, peering);
    try {
      const [connection] = this.#node.getConnections(remote);
      if (connection === undefined) throw new Error('connection closed');
      const stream = await connection.newStream(directProtocol, { signal: AbortSignal.timeout(openMs) });
      if (this.#closed || this.#peerings.get(peerId) !== peering) return stream.abort(new Error('too late'));
      stream.addEventListener('close', () => this.#endIf(peering, 'its direct stream closed'));
      // It may have closed while libp2p was still writing down that it opened.
      if (stream.status !== 'open') throw new Error('closed at once');
      peering.outbound = stream;
      if (this.#gossips) this.#beginGossip(peering);
    } catch (error) {
      return this.#endIf(peering, `takes no direct stream: ${whyOf(error)}`);
    }
    // What is told of it may end it: nobody hears of the end before all have heard of the beginning.
    this.#events.connected(peerId);
    peering.isTold = true;
    if (this.#peerings.get(peerId) !== peering) return this.#events.disconnected(peerId);
    peering.opened.resolve(null);
    this.#read(peering);
  }

  #beginGossip(peering: Peering): void {
    const [connection] = this.#node.getConnections(peering.peerId);
    peering.gossipDueAt = performance.now() + gossipGraceMs.first;
    peering.gossipAgainAt = performance.now() + gossipAgainMs;
    if (connection !== undefined) beginGossip(this.#node.services.pubsub, connection);
  }

  #take(peerId: string, stream: Stream): void {
    const peering = this.#peerings.get(peerId);
    if (peering === undefined || this.#closed) return stream.abort(new Error('not connected'));
    // One of the two sides lost track of the other, as after a crash that the network hid: start afresh.
    if (peering.inbound !== null) return this.#drop(peerId, 'opened a second direct stream');
    peering.inbound = stream;
    stream.addEventListener('close', () => this.#endIf(peering, 'closed its direct stream'));
    stream.addEventListener('remoteCloseWrite', () => this.#endIf(peering, 'closed its direct stream'));
    if (peering.outbound !== null) this.#read(peering);
  }

  #read(peering: Peering): void {
    if (peering.inbound === null) return;
    const peerId = peering.peerId.toString();
    readFrames(
      peering.inbound,
      (body) => {
        if (this.#peerings.get(peerId) !== peering) return;
        if (this.#spends(peerId, tokensFor(body.byteLength))) this.#hear(peerId, body, 'direct');
      },
      (why) => this.#drop(peerId, `sent what is no message: ${why}`),
    );
  }

  /** A defect of ours costs the message that found it, and neither the peer that sent it nor the process. */
  #hear(author: string, body: Uint8Array, via: 'direct' | 'gossip'): void {
    try {
      this.#events.message(author, body, via);
    } catch (error) {
      this.#onStumbled(author, whyOf(error));
    }
  }

  /** false: it sent more than we take, and is gone with it. */
  #spends(peerId: string, tokens: number): boolean {
    const peering = this.#peerings.get(peerId);
    if (peering === undefined) return false;
    if (peering.allowance.spend(tokens)) return true;
    this.#onFlood(peerId);
    this.#end(peerId, 'sends more than we take');
    return false;
  }

  #endIf(peering: Peering, why: string): void {
    const peerId = peering.peerId.toString();
    if (this.#peerings.get(peerId) === peering) this.#end(peerId, why);
  }

  /** Ends it for a reason of ours, which nobody else can tell the log. */
  #drop(peerId: string, why: string): void {
    this.#onRefused(peerId, why);
    this.#end(peerId, why);
  }

  #end(peerId: string, why: string): void {
    const peering = this.#peerings.get(peerId);
    if (peering === undefined || this.#closed) return;
    this.#peerings.delete(peerId);
    endGossip(this.#node.services.pubsub, peering.peerId);
    for (const connection of this.#node.getConnections(peering.peerId)) connection.abort(new Error(why));
    this.#tellEnd(peering, why);
  }

  /** The other side closed the last connection with it: told before libp2p does anything about that. */
  lose(peerId: string): void {
    const peering = this.#peerings.get(peerId);
    if (peering === undefined || this.#closed) return;
    this.#peerings.delete(peerId);
    this.#tellEnd(peering, 'connection closed');
  }

  #tellEnd({ peerId: remote, opened, isTold }: Peering, why: string): void {
    const peerId = remote.toString();
    opened.resolve(cut(peerId, why));
    if (isTold) this.#events.disconnected(peerId);
  }

  /**
   * gossipsub never opens its stream to a peer again after it broke on a standing connection, still counts the peer
   * in its mesh, and says nothing: only a new connection brings it back. A peer that comes back while its last stream was
   * still being opened it takes for one that has a stream, and one whose last stream still closes it forgets: of such a
   * peer it can be told again.
   */
  #watchGossip(): void {
    const now = performance.now();
    const { pubsub } = this.#node.services;
    for (const [peerId, peering] of this.#peerings) {
      const stream = gossipStreamTo(pubsub, peerId);
      if (stream === 'open') {
        Object.assign(peering, { gossipDueAt: now + gossipGraceMs.again, gossipAgainAt: Infinity });
      } else if (now > peering.gossipDueAt) {
        this.#drop(peerId, 'takes no gossip');
      } else if (this.#gossips && (stream === 'stale' || now > peering.gossipAgainAt)) {
        const { gossipDueAt } = peering;
        this.#beginGossip(peering);
        Object.assign(peering, { gossipDueAt, gossipAgainAt: Infinity });
      }
    }
  }
}

/** null: connected. After the deadline it may still come to that, and is told as an event then. */
function opened(peering: Peering, address: PeerAddress, signal: AbortSignal): Promise<Failure | null> {
  const late = Promise.withResolvers<Failure>();
  const abandon = (): void =>
    late.resolve(dialFailure(peering.peerId.toString(), address, new DOMException('', 'TimeoutError')));
  if (signal.aborted) abandon();
  signal.addEventListener('abort', abandon, { once: true });
  return Promise.race([peering.opened.promise, late.promise]).finally(() =>
    signal.removeEventListener('abort', abandon),
  );
}

const cut = (peerId: string, why: string): Failure => new Failure('denied', `dial ${peerId}: denied: ${why}`);
