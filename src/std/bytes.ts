/**
 * Small binary messages: numbers as varints (seven bits a byte, the lowest first, as Protocol Buffers have them), texts
 * in UTF-8. A reader never throws at what it was sent: past the end, or at nonsense, it says so by `broken` and reads
 * zeros and empty texts from then on, so that a parser checks once, at its end.
 */
const encoder = new TextEncoder();
/** A byte order mark is a character like any other here. */
const decoder = new TextDecoder('utf8', { ignoreBOM: true });

/** Of a text that is written here rather than by the encoder, whose call alone takes longer. Characters. */
const shortMax = 32;

/** Bytes that grow at their end; what was handed out by `bytes` stays as it is. */
export class ByteWriter {
  #buffer: Uint8Array;
  #length = 0;

  constructor(capacity = 64) {
    this.#buffer = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  /** To write something else; views of what was written are void. */
  clear(): this {
    this.#length = 0;
    return this;
  }

  /** A view, from `from` to the end as it is now. */
  bytes(from = 0): Uint8Array {
    return this.#buffer.subarray(from, this.#length);
  }

  /** A whole number from 0 to 2^53 - 1. */
  varint(value: number): this {
    this.#reserve(8);
    let rest = value;
    // Whole numbers of 32 bits are cut by shifts, larger ones only by division.
    while (rest >= 0x8000_0000) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[this.#length++] = rest;
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** Without its length: the last thing in a record. */
  tail(text: string): this {
    // A UTF-16 unit becomes three bytes at most.
    this.#reserve(text.length * 3);
    if (text.length <= shortMax && this.#ascii(text)) return this;
    this.#length += encoder.encodeInto(text, this.#buffer.subarray(this.#length)).written;
    return this;
  }

  text(text: string): this {
    return this.sized(encoder.encode(text));
  }

  sized(bytes: Uint8Array): this {
    return this.varint(bytes.length).raw(bytes);
  }

  /** False, and nothing is changed: there is more in it. */
  #ascii(text: string): boolean {
    const at = this.#length;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0x7f) return false;
      this.#buffer[at + i] = code;
    }
    this.#length += text.length;
    return true;
  }

  /** Old buffers are left to whoever has views of them. */
  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = new Uint8Array(Math.max(this.#buffer.length * 2, this.#length + bytes));
    larger.set(this.bytes());
    this.#buffer = larger;
  }
}

export class ByteReader {
  broken = false;
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** How much has been read. */
  get at(): number {
    return this.#at;
  }

  get isAtEnd(): boolean {
    return this.broken || this.#at >= this.#bytes.length;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count++) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) break;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value <= Number.MAX_SAFE_INTEGER ? value : this.#break(0);
      scale *= 0x80;
    }
    return this.#break(0);
  }

  raw(length: number): Uint8Array {
    const end = this.#at + length;
    if (this.broken || end > this.#bytes.length) return this.#break(new Uint8Array(0));
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  sized(): Uint8Array {
    return this.raw(this.varint());
  }

  text(): string {
    return decoder.decode(this.sized());
  }

  /** All that is left. */
  tail(): string {
    return decoder.decode(this.raw(this.#bytes.length - this.#at));
  }

  rest(): Uint8Array {
    return this.raw(this.#bytes.length - this.#at);
  }

  #break<T>(nothing: T): T {
    this.broken = true;
    return nothing;
  }
}
