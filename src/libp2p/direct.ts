/**
 * Frames on the long-lived direct stream of one peer and one direction: four bytes of length, then the message.
 * A stream a message would cost seven times the time (negotiation), and its messages could overtake each other.
 */
import type { Stream, StreamMessageEvent } from '@libp2p/interface';

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

/**
 * Calls `onFrame` for each message in order, with bytes that are its own only during the call; `onBroken` at most
 * once, when what comes is no frame of ours. `onFrame` does not throw: what came together with its frame would be lost.
 */
export function readFrames(
  stream: Stream,
  onFrame: (body: Uint8Array) => void,
  onBroken: (why: string) => void,
): void {
  const take = frameReader(onFrame);
  const onMessage = ({ data }: StreamMessageEvent): void => {
    const why = take(data.subarray());
    if (why === null) return;
    stream.removeEventListener('message', onMessage);
    onBroken(why);
  };
  stream.addEventListener('message', onMessage);
}

/**
 * A frame that comes whole, as nearly all do, is not copied; one in pieces is collected in a buffer of its length. What
 * it returns: why the data is no frame of ours; null: it is.
 */
function frameReader(onFrame: (body: Uint8Array) => void): (data: Uint8Array) => string | null {
  const header = new Uint8Array(headerBytes);
  const length = new DataView(header.buffer);
  let headerFilled = 0;
  let body: Uint8Array | null = null;
  let filled = 0;

  /** Returns how much of `data` it took, or why it is no frame. */
  function begin(data: Uint8Array): number | string {
    const part = data.subarray(0, headerBytes - headerFilled);
    header.set(part, headerFilled);
    headerFilled += part.byteLength;
    if (headerFilled < headerBytes) return part.byteLength;
    headerFilled = 0;
    const bytes = length.getUint32(0);
    if (bytes > messageBytesMax) return `a frame of ${bytes} bytes`;
    const end = part.byteLength + bytes;
    if (data.byteLength >= end) {
      onFrame(data.subarray(part.byteLength, end));
      return end;
    }
    body = new Uint8Array(bytes);
    filled = 0;
    return part.byteLength;
  }

  function proceed(collected: Uint8Array, data: Uint8Array): number {
    const part = data.subarray(0, collected.byteLength - filled);
    collected.set(part, filled);
    filled += part.byteLength;
    if (filled === collected.byteLength) {
      body = null;
      onFrame(collected);
    }
    return part.byteLength;
  }

  return (data) => {
    for (let rest = data; rest.byteLength > 0;) {
      const taken = body === null ? begin(rest) : proceed(body, rest);
      if (typeof taken === 'string') return taken;
      rest = rest.subarray(taken);
    }
    return null;
  };
}
