/**
 * How messages travel. In small clusters by the production codec, which reads each body once: fifty nodes that are told
 * the same get the same bytes, and what they mean is a value that nobody changes.
 *
 * In large clusters as they are. A thousand nodes that each parse a thousand records measure the parser, which small
 * clusters put through its paces; who sends garbage is read with the production codec here as well.
 */
import { wireCodec, type Codec, type Message } from '../../src/node/message.ts';

/** What a network looks at is a body's length; of most messages it is about this, bytes. */
const bytesUsual = 200;

class Carried {
  readonly byteLength = bytesUsual;
  readonly message: Message;
  readonly isBeat: boolean;

  constructor(message: Message) {
    this.message = message;
    this.isBeat = message.type === 'beat';
  }
}

export const isBeat = (body: Uint8Array | Carried): boolean => body instanceof Carried && body.isBeat;

export const asTheyAre: Codec = {
  encode: (message) => new Carried(message) as unknown as Uint8Array,
  decode: (body: Uint8Array | Carried) => (body instanceof Carried ? body.message : wireCodec.decode(body)),
};

/** Bodies that are remembered; most of what is said again is said again within as many. */
const rememberedMax = 4_096;
/** A beat costs less to read than to look up. */
const briefBytesMax = 64;

type Writing = { readonly text: string; readonly body: Uint8Array };

/** Of one run. What a body means follows from its bytes, whoever reads it, and the body of a record from what was signed. */
export function onceEach({ encode, decode }: Codec): Codec {
  const read = new Map<string, Message | null>();
  const written = new Map<string, Writing>();
  const digests = new WeakMap<object, Uint8Array>();
  return {
    encode: (message) => {
      if (message.type === 'hashes') {
        const body = digests.get(message.buckets) ?? encode(message);
        digests.set(message.buckets, body);
        return body;
      }
      if (message.type !== 'record') return encode(message);
      const { text, signature } = message;
      const known = written.get(signature);
      if (known?.text === text) return known.body;
      const body = encode(message);
      remember(written, signature, { text, body });
      return body;
    },
    decode: (body) => {
      if (body.byteLength <= briefBytesMax) return decode(body);
      const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1');
      const known = read.get(bytes);
      if (known !== undefined) return known;
      const message = decode(body);
      remember(read, bytes, message);
      return message;
    },
  };
}

function remember<T>(all: Map<string, T>, key: string, value: T): void {
  if (all.size >= rememberedMax) all.clear();
  all.set(key, value);
}
