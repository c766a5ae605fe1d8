/**
 * Frames: how many calls share one connection between two nodes. Each frame is
 *
 *   length of its body, 4 bytes | kind, 1 byte | number of its call, 4 bytes | body          numbers big-endian
 *
 *   open    method, path and headers, as JSON            from who asks
 *   head    status and headers, as JSON                  from who answers
 *   data    a part of either's body
 *   end     that body is complete
 *   reset   the call is over, and why: of one that is `leaving` or `full` nothing was begun
 *   credit  so many bytes more may come, 4 bytes
 *   ping    answered by a pong; both belong to no call
 *   leave   no call after this one is answered           from who answers
 *
 * A reader passes over kinds that it does not know and over fields of a JSON head that it does not know, so that a later
 * version may add to both; a version that cannot be understood in this way has another name, and both ends agree on one
 * before the first frame.
 */

/** As the Upgrade header has it. */
export const protocol = 'synkti-frames/1';

export const kinds = {
  ...{ open: 1, head: 2, data: 3, end: 4, reset: 5, credit: 6, ping: 7, pong: 8, leave: 9 },
} as const;

/** Of a frame's body: a larger one holds back all other calls for too long, and no frame of ours is larger. */
export const frameBytesMax = 64 * 1_024;
const headBytes = 9;

/** What one end has to say, gathered until it is taken. */
export class FrameWriter {
  #buffer = Buffer.allocUnsafe(4_096);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  frame(kind: number, call: number, body: Uint8Array | null): void {
    const length = body?.length ?? 0;
    this.#begin(kind, call, length);
    if (body !== null) this.#buffer.set(body, this.#length);
    this.#length += length;
  }

  credit(call: number, bytes: number): void {
    this.#begin(kinds.credit, call, 4);
    this.#length = this.#buffer.writeUInt32BE(bytes, this.#length);
  }

  /** All of it; it is the caller's now. */
  take(): Buffer {
    const taken = this.#buffer.subarray(0, this.#length);
    // As much will come the next time.
    this.#buffer = Buffer.allocUnsafe(Math.max(1_024, this.#length + (this.#length >> 1)));
    this.#length = 0;
    return taken;
  }

  #begin(kind: number, call: number, length: number): void {
    const wanted = this.#length + headBytes + length;
    if (wanted > this.#buffer.length) this.#grow(wanted);
    const at = this.#buffer.writeUInt32BE(length, this.#length);
    this.#buffer[at] = kind;
    this.#length = this.#buffer.writeUInt32BE(call, at + 1);
  }

  #grow(wanted: number): void {
    const larger = Buffer.allocUnsafe(Math.max(wanted, this.#buffer.length * 2));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }
}

type HearFrame = (kind: number, call: number, body: Buffer) => void;

export class FrameReader {
  /** The beginning of a frame whose end has not come. */
  #rest: Buffer | null = null;

  /** Tells every frame that is complete with this chunk, as views of it. False: these are no frames. */
  read(chunk: Buffer, hear: HearFrame): boolean {
    const bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= headBytes) {
      const length = bytes.readUInt32BE(at);
      if (length > frameBytesMax) return false;
      const body = at + headBytes;
      if (bytes.length - body < length) break;
      hear(bytes[at + 4]!, bytes.readUInt32BE(at + 5), bytes.subarray(body, body + length));
      at = body + length;
    }
    this.#rest = at === bytes.length ? null : bytes.subarray(at);
    return true;
  }
}
