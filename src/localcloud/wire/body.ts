/** Reads a request body that must fit in memory. */
import { AwsError } from './aws-error.ts';

/** Throws AwsError 413 as soon as more than `bytesMax` have come. */
export async function readWhole(body: AsyncIterable<Uint8Array>, bytesMax: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.length;
    if (bytes > bytesMax)
      throw new AwsError(413, 'RequestEntityTooLarge', `Request is over ${bytesMax} bytes.`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
