/**
 * Noise as js-libp2p has it, changed in what hurts a node with standing connections to many peers:
 *
 * A message goes to the socket in one piece. As it is, the two bytes of its length go first and alone: two system
 * calls, two packets and two wakings of the other side for each small message.
 *
 * Where a message ends is found without making an error. As it is, each message read costs one with its stack trace,
 * more than all the rest of reading it.
 *
 * What waits for a peer, to be read or to be sent, is bounded. As it is, a peer that pings and reads no answers makes
 * us keep them all, and a stranger may fill megabytes while it waits to be admitted.
 *
 * Every message is counted for its peer before it is decrypted, whatever it is for, so that no layer above can be flooded
 * with crumbs; what a message holds many of, that layer counts by the same allowance.
 *
 * Which muxer is spoken is settled within the handshake, as ours do, or not at all.
 */
import type {
  ConnectionEncrypter,
  MessageStream,
  SecuredConnection,
  StreamMessageEvent,
} from '@libp2p/interface';
import { noise } from '@libp2p/noise';
import { tokensFor, type Allowance, type Charge } from './allowance.ts';

/** Streams stop writing when the socket is full, so that only answers to pings and the like wait here. */
const unsentBytesMax = 1_048_576;
/** Before a peer is admitted, nobody reads what it sends: some kilobytes of those who cannot wait. */
const unreadBytesMax = 262_144;

type Bytes = StreamMessageEvent['data'];
/** Of the stream that @libp2p/noise makes; a test sees each of these at work. */
type Secured = MessageStream & {
  maxWriteBufferLength: number;
  maxReadBufferLength: number;
  encrypt(plain: Bytes): Bytes;
  decrypt(sealed: Bytes): Bytes;
  readonly decoder: { lengthDecoder(buffered: Exclude<Bytes, Uint8Array>): number };
};

type Encrypter = ReturnType<ReturnType<typeof noise>>;

type Counted = {
  readonly allowanceOf: (peerId: string) => Allowance;
  /** This peer sent more than it is allowed; the connection that it came by is gone. */
  readonly onFlood: (peerId: string) => void;
  /** For the layer above, by the secured connection. */
  readonly charges: WeakMap<MessageStream, Charge>;
  /** What is beyond its choice of an encryption. */
  readonly encrypting: WeakSet<MessageStream>;
};

export function boundedNoise(
  counted: Counted,
): (components: Parameters<ReturnType<typeof noise>>[0]) => ConnectionEncrypter {
  return (components) => {
    const encrypter: Encrypter = noise()(components);
    return {
      protocol: encrypter.protocol,
      secureInbound: async (connection, options) => {
        counted.encrypting.add(connection);
        return bounded(await encrypter.secureInbound(connection, options), counted);
      },
      secureOutbound: async (...given) => bounded(await encrypter.secureOutbound(...given), counted),
    };
  };
}

function bounded<E>(secured: SecuredConnection<E>, counted: Counted): SecuredConnection<E> {
  if (secured.streamMuxer === undefined) throw new Error('no muxer was offered');
  const stream = secured.connection as Secured;
  stream.maxWriteBufferLength = unsentBytesMax;
  stream.maxReadBufferLength = unreadBytesMax;
  const { encrypt, decrypt } = stream;
  stream.encrypt = (plain) => encrypt.call(stream, plain).subarray();
  stream.decoder.lengthDecoder = messageLength;
  const charge = chargeFor(secured.remotePeer.toString(), counted);
  counted.charges.set(stream, charge);
  stream.decrypt = (sealed) => {
    charge(tokensFor(sealed.byteLength));
    return decrypt.call(stream, sealed);
  };
  return secured;
}

function chargeFor(peerId: string, { allowanceOf, onFlood }: Counted): Charge {
  const allowance = allowanceOf(peerId);
  return (tokens) => {
    if (allowance.spend(tokens)) return;
    onFlood(peerId);
    throw new Error('more than we take');
  };
}

/** How the decoder is told to wait for more. */
const incomplete = new RangeError('fewer bytes than a length has');

function messageLength(buffered: Exclude<Bytes, Uint8Array>): number {
  if (buffered.byteLength < 2) throw incomplete;
  return (buffered.get(0) << 8) | buffered.get(1);
}
