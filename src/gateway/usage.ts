/** How many tokens an answer had that was passed through: its end says it, in a body or in the last events of a stream. */
import { answerTokensIn } from '../stream/tally.ts';

/** The end of an answer that says it: a usage and the few fields behind it. */
const tailBytesMax = 4_096;
const field = Buffer.from('data:');
const line = Buffer.from('\ndata:');

/** The last bytes of an answer, one piece later. */
export const tailOf = (tail: Buffer, piece: Buffer): Buffer =>
  piece.length >= tailBytesMax
    ? piece.subarray(-tailBytesMax)
    : Buffer.concat([tail.subarray(Math.max(0, tail.length + piece.length - tailBytesMax)), piece]);

/** Of a stream, whose events have a token each at least, but for the few that frame it. One cut in two may be missed. */
export function eventsIn(piece: Buffer): number {
  let events = piece.subarray(0, field.length).equals(field) ? 1 : 0;
  for (let at = piece.indexOf(line); at !== -1; at = piece.indexOf(line, at + line.length)) events += 1;
  return events;
}

/** null: it does not say. */
export const answerTokensAt = (tail: Buffer): number | null => answerTokensIn(tail.toString('latin1'));
