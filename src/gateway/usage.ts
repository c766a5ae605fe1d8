/**
 * What is read off an answer that is passed through. How many tokens it had: its end says it, in a body or in the last
 * events of a stream. And when a stream began to say something: what comes before its first token frames it only
 * (`response.created`, `message_start`), and vLLM sends that before it has read the prompt.
 */
import { inSteps, type Spent } from '../node/spent.ts';
import { answerTokensIn } from '../stream/tally.ts';

/** The end of an answer that says it: a usage and the few fields behind it. */
const tailBytesMax = 4_096;
const field = Buffer.from('data:');
const line = Buffer.from('\ndata:');

/** How the streams begin whose events have names, and how those of them are called that say some of the answer. */
const named = Buffer.from('event:');
const delta = /^event:[^\r\n]*delta\r?\n/m;
/** Of what came before, as much as the line of an event's name may have of it. */
const lineBytesMax = 128;

export type PassedStream = {
  take(piece: Buffer): void;
  /** null: it does not say. */
  tokens(): number | null;
  /** Of one that did not come to its end, or does not say what it took; null: nothing of it came. */
  tokensSoFar(): number | null;
};

/** `begun` is called with the first event that says some of the answer; `spent` on the way. */
export function openPassedStream({ spent, begun }: { spent: Spent; begun: () => void }): PassedStream {
  const charge = inSteps(spent);
  let tail: Buffer = Buffer.alloc(0);
  let events = 0;
  let isNamed: boolean | null = null;
  let hasBegun = false;
  const says = (piece: Buffer): boolean =>
    isNamed === true
      ? delta.test(Buffer.concat([tail.subarray(-lineBytesMax), piece]).toString('latin1'))
      : events > 0;
  return {
    take: (piece) => {
      events += eventsIn(piece);
      isNamed ??= piece.subarray(0, named.length).equals(named);
      if (!hasBegun && says(piece)) {
        hasBegun = true;
        begun();
      }
      tail = tailOf(tail, piece);
      charge(events);
    },
    tokens: () => answerTokensAt(tail),
    tokensSoFar: () => (events === 0 ? null : Math.max(answerTokensAt(tail) ?? 0, events)),
  };
}

/** null: a body does not say. */
export const tokensIn = (body: Buffer): number | null => answerTokensAt(tailOf(Buffer.alloc(0), body));

/** The last bytes of an answer, one piece later. */
const tailOf = (tail: Buffer, piece: Buffer): Buffer =>
  piece.length >= tailBytesMax
    ? piece.subarray(-tailBytesMax)
    : Buffer.concat([tail.subarray(Math.max(0, tail.length + piece.length - tailBytesMax)), piece]);

/** Of a stream, whose events have a token each at least, but for the few that frame it. One cut in two may be missed. */
function eventsIn(piece: Buffer): number {
  let events = piece.subarray(0, field.length).equals(field) ? 1 : 0;
  for (let at = piece.indexOf(line); at !== -1; at = piece.indexOf(line, at + line.length)) events += 1;
  return events;
}

const answerTokensAt = (tail: Buffer): number | null => answerTokensIn(tail.toString('latin1'));
