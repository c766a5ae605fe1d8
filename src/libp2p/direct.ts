/**
 * Frames on the long-lived direct stream of one peer and one direction: four bytes of length, then the message.
 * A stream a message would cost seven times the time (negotiation), and its messages could overtake each other.
 */
import type { Stream, StreamMessageEvent } from '@libp2p/interface';
import { LengthPrefixedDecoder } from '@libp2p/utils';

export const directProtocol = '/synkti/direct/1';

/** Records and loads are a few hundred bytes; a longer message is a mistake or an attack. */
export const messageBytesMax = 65_536;

/** What may wait for one slow peer: minutes of the usual messages, and small beside the socket's own buffers. */
const waitingBytesMax = 262_144;

const headerBytes = 4;

/** false: the peer takes less than we send, or the stream is gone; nothing was sent and the peer should be dropped. */
export function sendFrame(stream: Stream, body: Uint8Array): boolean {
  if (stream.writeStatus !== 'writable') return false;
  if (stream.writeBufferLength + headerBytes + body.byteLength > waitingBytesMax) return false;
  const frame = new Uint8Array(headerBytes + body.byteLength);
  new DataView(frame.buffer).setUint32(0, body.byteLength);
  frame.set(body, headerBytes);
  stream.send(frame);
  return true;
}

/** Calls `onFrame` for each message in order; `onBroken` at most once, when what comes is no frame of ours. */
export function readFrames(
  stream: Stream,
  onFrame: (body: Uint8Array) => void,
  onBroken: (error: Error) => void,
): void {
  const decoder = new LengthPrefixedDecoder({
    maxDataLength: messageBytesMax,
    encodingLength: () => headerBytes,
    // Fewer than four bytes are a RangeError, which tells the decoder to wait for more.
    lengthDecoder: (buffered) => {
      const { buffer, byteOffset, byteLength } = buffered.slice(0, headerBytes);
      return new DataView(buffer, byteOffset, byteLength).getUint32(0);
    },
  });
  const onMessage = ({ data }: StreamMessageEvent): void => {
    try {
      for (const frame of decoder.decode(data)) onFrame(frame.slice());
    } catch (error) {
      stream.removeEventListener('message', onMessage);
      onBroken(error instanceof Error ? error : new Error(String(error)));
    }
  };
  stream.addEventListener('message', onMessage);
}
