/**
 * The libp2p node, with every default of js-libp2p that would hurt a cluster set right. Each of these was met by
 * running it; the reason stands beside the setting.
 */
import { gossipsub, StrictSign, type GossipSub } from '@chainsafe/libp2p-gossipsub';
import {
  serviceCapabilities,
  type ConnectionGater,
  type Libp2p,
  type MessageStream,
  type PrivateKey,
  type ServiceMap,
} from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import type { Multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import type { Allowance, Charge } from './allowance.ts';
import { boundAnswers } from './negotiation.ts';
import { boundedNoise } from './noise.ts';
import { thriftyYamux } from './yamux.ts';

export interface Services extends ServiceMap {
  pubsub: GossipSub;
}

export const gossipTopic = '/synkti/gossip/1';

/** Room for a whole cluster that dials one node at once: what overflows looks like a dead host to the dialler. */
const backlog = 1_024;
/** Two connections a peer (both may dial at once, and no key holds more) for 1,000 members. */
const connectionsMax = 2_048;
/**
 * New connections a second from one address. Nodes on one machine, or behind one NAT, share theirs, and all of a full
 * mesh of fifty may dial a node that has just come; each costs some 7 ms of handshake, so far more would starve us.
 */
const inboundPerSecond = 100;
/** What one address can hold open without ever finishing its handshakes, each for 10 s, and a little more. */
const pendingMax = 1_024;
/** How long a handshake step may take on a starved machine; a peer that needs longer is dialled again. */
const negotiationMs = 5_000;
/** Of one connection and direction. One for messages, one for gossip, and room for what a later version may open. */
const streamsMax = 16;
/** One gossip RPC: a batch of small messages. */
const rpcBytesMax = 262_144;
/** Gossip waiting for one slow peer; beyond it the stream is dropped, and the watchdog hangs up on the peer. */
const gossipBufferBytesMax = 1_048_576;

/** Made but not started, so that nobody can connect before we listen to what happens. */
export function createNode(options: {
  readonly privateKey: PrivateKey;
  readonly listen: Multiaddr;
  readonly version: string;
  readonly gater: ConnectionGater;
  /** What may come by all connections of this peer together, in messages. */
  readonly allowanceOf: (peerId: string) => Allowance;
  /** This peer sent more than we take, whatever it was; the connection that it came by is gone. */
  readonly onFlood: (peerId: string) => void;
}): Promise<Libp2p<Services>> {
  const charges = new WeakMap<MessageStream, Charge>();
  const encrypting = new WeakSet<MessageStream>();
  return createLibp2p<Services>({
    start: false,
    privateKey: options.privateKey,
    nodeInfo: { name: 'synkti', version: options.version },
    addresses: { listen: [options.listen.toString()] },
    connectionGater: {
      ...options.gater,
      denyInboundConnection: (connection) => {
        boundAnswers(connection, () => encrypting.has(connection));
        return false;
      },
    },
    transports: [
      // A standing connection may be silent for minutes: the default cuts it after two of them.
      tcp({ backlog, inboundSocketInactivityTimeout: 0, outboundSocketInactivityTimeout: 0 }),
    ],
    connectionEncrypters: [boundedNoise({ ...options, charges, encrypting })],
    streamMuxers: [thriftyYamux({ streamsMax, charges })],
    connectionManager: {
      maxConnections: connectionsMax,
      // Defaults: 5 a second and 10 pending; the rest is reset.
      inboundConnectionThreshold: inboundPerSecond,
      maxIncomingPendingConnections: pendingMax,
      maxDialQueueLength: connectionsMax,
      dialTimeout: negotiationMs,
      addressDialTimeout: negotiationMs,
      inboundUpgradeTimeout: 2 * negotiationMs,
      // Gossip opens its streams one after another: a frozen peer holds up all others for this long.
      outboundStreamProtocolNegotiationTimeout: negotiationMs,
      inboundStreamProtocolNegotiationTimeout: negotiationMs,
      connectionCloseTimeout: 500,
    },
    // Aborts a connection, and all that runs on it, for one lost ping. Membership judges peers instead.
    connectionMonitor: { enabled: false },
    services: {
      // gossipsub asks for it, to learn who speaks gossipsub: see `beginGossip`.
      identify: () => ({ [serviceCapabilities]: ['@libp2p/identify'] }),
      pubsub: gossip(),
    },
  });
}

const gossip = (): ReturnType<typeof gossipsub> =>
  gossipsub({
    // The author of a message is who signed it, whoever relayed it.
    globalSignaturePolicy: StrictSign,
    allowedTopics: [gossipTopic],
    fallbackToFloodsub: false,
    emitSelf: false,
    // A node alone has nobody to tell, and that is fine: whoever comes is told on its direct stream.
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    // Without it each duplicate is verified before it is dropped. Filled only after validation: nobody can poison it.
    fastMsgIdFn: ({ from, seqno }) =>
      from === undefined || seqno === undefined ? '' : `${latin1(from)}${latin1(seqno)}`,
    // Peers that share an address are penalised by default until, above ten of them, nobody hears anybody.
    scoreParams: { IPColocationFactorWeight: 0 },
    maxInboundStreams: 2,
    maxOutboundStreams: 2,
    maxInboundDataLength: rpcBytesMax,
    // Unbounded by default.
    maxOutboundBufferSize: gossipBufferBytesMax,
    decodeRpcLimits: {
      maxSubscriptions: 8,
      maxMessages: 512,
      maxIhaveMessageIDs: 1_024,
      maxIwantMessageIDs: 1_024,
      maxIdontwantMessageIDs: 512,
      maxControlMessages: 64,
      maxPeerInfos: 0,
    },
    tagMeshPeers: false,
  });

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
