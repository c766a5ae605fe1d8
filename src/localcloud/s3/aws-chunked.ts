/**
 * Undoes the content coding `aws-chunked` (S3 API Reference, "Signature Calculations: Transferring Payload in
 * Multiple Chunks" and "... Including Trailing Headers"):
 *
 *   400;chunk-signature=<hex>\r\n  <0x400 bytes>\r\n  ...  0;chunk-signature=<hex>\r\n
 *   x-amz-checksum-crc32:<base64>\r\n  x-amz-trailer-signature:<hex>\r\n  \r\n
 *
 * The signatures are there in the STREAMING-AWS4-HMAC-SHA256-PAYLOAD forms only, the trailer in the -TRAILER forms
 * only. Each signature covers the one before it, so a chunk can be neither changed, dropped nor moved.
 */
import { createHash } from 'node:crypto';
import { AwsError } from '../wire/aws-error.ts';
import { chainSignature, sha256Hex, type Signing } from '../wire/sigv4.ts';

/** What the header x-amz-content-sha256 says of how a body comes. */
export type PayloadForm =
  | { readonly type: 'plain'; readonly sha256: string | null }
  | { readonly type: 'chunked'; readonly signed: boolean; readonly trailer: boolean };

/** A chunk's head or a trailer line, in bytes: far above any checksum or signature. */
const lineBytesMax = 4096;
const trailerLinesMax = 16;
const emptyHash = sha256Hex('');

export function payloadForm(declared: string): PayloadForm {
  switch (declared) {
    case 'UNSIGNED-PAYLOAD':
      return { type: 'plain', sha256: null };
    case 'STREAMING-UNSIGNED-PAYLOAD-TRAILER':
      return { type: 'chunked', signed: false, trailer: true };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD':
      return { type: 'chunked', signed: true, trailer: false };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER':
      return { type: 'chunked', signed: true, trailer: true };
    default:
      if (/^[0-9a-f]{64}$/.test(declared)) return { type: 'plain', sha256: declared };
      throw new AwsError(
        400,
        'InvalidArgument',
        'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-..., or a valid sha256 value.',
      );
  }
}

/** Yields the bytes inside; when it ends, `trailers` holds the trailer's fields. Throws AwsError for bad framing. */
export async function* unchunked(
  source: AsyncIterable<Uint8Array>,
  options: {
    readonly signing: Signing | null;
    readonly trailer: boolean;
    readonly trailers: Map<string, string>;
  },
): AsyncGenerator<Uint8Array> {
  const input = reader(source);
  let previous = options.signing?.signature ?? '';
  for (;;) {
    const { bytes, signature } = chunkHead(await input.line());
    const hash = options.signing === null ? null : createHash('sha256');
    for await (const piece of input.take(bytes)) {
      hash?.update(piece);
      yield piece;
    }
    if (options.signing !== null && hash !== null) {
      const hashes = [emptyHash, hash.digest('hex')];
      const what = { algorithm: 'AWS4-HMAC-SHA256-PAYLOAD', hashes };
      if (chainSignature(options.signing, previous, what) !== signature) throw forged();
      previous = signature;
    }
    if (bytes === 0) break;
    if ((await input.line()) !== '') throw malformed('a chunk is longer than it says');
  }
  await readTrailer(input, previous, options);
  if (!options.trailer && options.trailers.size > 0) throw malformed('an unannounced trailer');
}

type Input = {
  /** Without its line end. */
  line(): Promise<string>;
  take(bytes: number): AsyncGenerator<Uint8Array>;
};

async function readTrailer(
  input: Input,
  previous: string,
  { signing, trailers }: { readonly signing: Signing | null; readonly trailers: Map<string, string> },
): Promise<void> {
  let signed = '';
  let signature = '';
  for (let line = await input.line(); line !== ''; line = await input.line()) {
    const cut = line.indexOf(':');
    if (cut < 1 || trailers.size >= trailerLinesMax) throw malformed('a trailer line');
    const name = line.slice(0, cut).toLowerCase();
    const value = line.slice(cut + 1).trim();
    if (name === 'x-amz-trailer-signature') signature = value;
    else {
      trailers.set(name, value);
      signed += `${name}:${value}\n`;
    }
  }
  if (signing === null || signed === '') return;
  const what = { algorithm: 'AWS4-HMAC-SHA256-TRAILER', hashes: [sha256Hex(signed)] };
  if (chainSignature(signing, previous, what) !== signature) throw forged();
}

function chunkHead(line: string): { readonly bytes: number; readonly signature: string } {
  const found = /^([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line);
  if (found === null) throw malformed('a chunk head');
  return { bytes: Number.parseInt(found[1]!, 16), signature: found[2] ?? '' };
}

function reader(source: AsyncIterable<Uint8Array>): Input {
  const pieces = source[Symbol.asyncIterator]();
  let held: Uint8Array = new Uint8Array();

  async function more(): Promise<Uint8Array> {
    const next = await pieces.next();
    if (next.done === true)
      throw new AwsError(400, 'IncompleteBody', 'The request body terminated unexpectedly');
    return next.value;
  }

  return {
    async line() {
      let end = held.indexOf(0x0a);
      while (end < 0) {
        if (held.length > lineBytesMax) throw malformed('an endless line');
        held = Buffer.concat([held, await more()]);
        end = held.indexOf(0x0a);
      }
      const text = Buffer.from(held.subarray(0, end)).toString('latin1');
      held = held.subarray(end + 1);
      return text.endsWith('\r') ? text.slice(0, -1) : text;
    },
    async *take(bytes) {
      for (let left = bytes; left > 0;) {
        if (held.length === 0) held = await more();
        const piece = held.subarray(0, left);
        held = held.subarray(piece.length);
        left -= piece.length;
        yield piece;
      }
    },
  };
}

const malformed = (where: string): AwsError =>
  new AwsError(400, 'InvalidChunkSizeError', `The aws-chunked body is malformed: ${where}.`);

const forged = (): AwsError =>
  new AwsError(403, 'SignatureDoesNotMatch', 'The signature of a chunk does not match what it covers.');
