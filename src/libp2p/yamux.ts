/**
 * Yamux as js-libp2p has it, changed in five points:
 *
 * The window is given back when half of it is used. As it is, every message received is answered with an update of
 * some twenty bytes, which doubles the cost of streams of small messages.
 *
 * A frame that announces more than any of ours ends the connection at once. As it is, it is collected until it is
 * whole, up to four gigabytes, and only then found to be larger than its stream's window.
 *
 * What is sent on a connection that has just closed is dropped. As it is, a frame that breaks the protocol ends the
 * process: the streams are closed first, we hang up because they are, and the goodbye that follows throws.
 *
 * Each frame is charged to its peer, by what it costs us. As it is, a sealed message of 64 KiB pays for five thousand
 * pings, each of which is answered by a message, or for as many streams that are opened and reset at once.
 *
 * Whoever opens a stream and asks for one protocol after another is answered a few times only.
 */
import type { MessageStream, Stream, StreamMessageEvent, StreamMuxerFactory } from '@libp2p/interface';
import { yamux } from '@libp2p/yamux';
import { assert } from '../std/assert.ts';
import type { Charge } from './allowance.ts';
import { boundAnswers } from './negotiation.ts';

/** What a stream's peer may send before we have taken it, and with that the longest frame. The protocol's least. */
const windowBytes = 262_144;

/**
 * What a frame costs beside the message that it came in, in tokens of some 20 us each, the price of a small message. A
 * ping is answered, and ours never ping; a stream that is opened costs its negotiation.
 */
const frameTokens = { opening: 16, ping: 16, other: 0.25 };
const type = { ping: 2 };
const flag = { open: 1 };

type ByteList = Exclude<StreamMessageEvent['data'], Uint8Array>;
/** Of what @libp2p/yamux makes; a test sees each of these at work. */
type Muxer = {
  send(data: StreamMessageEvent['data']): boolean;
  _newStream(...given: unknown[]): OpenedStream;
  handleFrame(frame: { readonly header: Header }): void;
  readonly decoder: { readonly buffer: ByteList; readFrame(): unknown };
};
type Header = { readonly type: number; readonly flag: number };
type OpenedStream = Stream & {
  readonly recvWindow: number;
  readonly recvWindowCapacity: number;
  sendWindowUpdate(): void;
};

export function thriftyYamux(limits: {
  readonly streamsMax: number;
  readonly charges: WeakMap<MessageStream, Charge>;
}): () => StreamMuxerFactory {
  const factory = yamux({
    maxInboundStreams: limits.streamsMax,
    maxOutboundStreams: limits.streamsMax,
    // Beats tell more, and oftener; and without its round trips the window stays as large as it begins.
    enableKeepAlive: false,
    // As it is, four megabytes for each stream that a peer opens and nobody reads.
    streamOptions: { maxReadBufferLength: windowBytes },
  })();
  return () => ({
    protocol: factory.protocol,
    createStreamMuxer: (connection: MessageStream) => {
      const muxer = factory.createStreamMuxer(connection);
      const charge = limits.charges.get(connection);
      assert(charge !== undefined, 'only what is secured is multiplexed');
      changed(muxer as unknown as Muxer, connection, charge);
      return muxer;
    },
  });
}

function changed(muxer: Muxer, connection: MessageStream, charge: Charge): void {
  const { send, _newStream: newStream, handleFrame, decoder } = muxer;
  muxer.send = (data) => connection.status === 'open' && send.call(muxer, data);
  muxer.handleFrame = (frame) => {
    charge(tokensOf(frame.header));
    handleFrame.call(muxer, frame);
  };
  muxer._newStream = (...given) => {
    const stream = updatingRarely(newStream.apply(muxer, given));
    if (stream.direction === 'inbound') boundAnswers(stream, () => stream.protocol !== '');
    return stream;
  };
  const { readFrame } = decoder;
  decoder.readFrame = () => {
    const frame = readFrame.call(decoder);
    if (frame === undefined && announcedBytes(decoder.buffer) > windowBytes)
      throw new Error('a frame larger than any window');
    return frame;
  };
}

function tokensOf(header: Header): number {
  if (header.type === type.ping) return frameTokens.ping;
  return (header.flag & flag.open) === 0 ? frameTokens.other : frameTokens.opening;
}

/** The first update opens the stream, whatever is left of the window. */
function updatingRarely(stream: OpenedStream): OpenedStream {
  const { sendWindowUpdate } = stream;
  let isOpen = false;
  stream.sendWindowUpdate = () => {
    if (isOpen && stream.recvWindowCapacity > stream.recvWindow / 2) return;
    isOpen = true;
    sendWindowUpdate.call(stream);
  };
  return stream;
}

/** Of the frame whose beginning is there: twelve bytes of header, the last four of which are the length. */
function announcedBytes(buffer: ByteList): number {
  if (buffer.byteLength < 12) return 0;
  return buffer.get(1) === 0 ? buffer.getUint32(8) : 0;
}
