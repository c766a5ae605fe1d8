/**
 * How many tokens an answer had that was passed through as it is, read off its end: there every API that generates
 * says it, in a body or in the last events of a stream. Inside a text of the answer the quotes would be escaped.
 */

/** The end of an answer that says it: a usage and the few fields behind it. */
const tailBytesMax = 4_096;
const counted = /"(?:output|completion)_tokens":\s*(\d{1,9})(?!\d)/g;

/** The last bytes of an answer, one piece later. */
export const tailOf = (tail: Buffer, piece: Buffer): Buffer =>
  piece.length >= tailBytesMax
    ? piece.subarray(-tailBytesMax)
    : Buffer.concat([tail.subarray(Math.max(0, tail.length + piece.length - tailBytesMax)), piece]);

/** null: it does not say. */
export function answerTokensIn(tail: Buffer): number | null {
  const last = [...tail.toString('latin1').matchAll(counted)].at(-1);
  return last === undefined ? null : Number(last[1]);
}
