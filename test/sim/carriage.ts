/**
 * How messages of large clusters travel: as they are. A thousand nodes that each parse a thousand records measure the
 * parser, which small clusters put through its paces; who sends garbage is read with the production codec here as well.
 */
import { wireCodec, type Codec, type Message } from '../../src/node/message.ts';

/** What a network looks at is a body's length; of most messages it is about this, bytes. */
const bytesUsual = 200;

type Carried = { readonly message: Message; readonly byteLength: number };

const isCarried = (body: Uint8Array | Carried): body is Carried => !(body instanceof Uint8Array);

export const isBeat = (body: Uint8Array | Carried): boolean =>
  isCarried(body) && body.message.type === 'beat';

export const asTheyAre: Codec = {
  encode: (message) => ({ message, byteLength: bytesUsual }) satisfies Carried as unknown as Uint8Array,
  decode: (body) => (isCarried(body) ? body.message : wireCodec.decode(body)),
};
