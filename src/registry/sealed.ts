/**
 * A record as it travels: the JSON text that its owner signed. It is kept and passed on as it came, so fields of a newer
 * version survive an older relay byte for byte, and the signature with them.
 */
import { recordFromText, type NodeRecord } from './record.ts';
import type { Seal, Sealed } from '../std/seal.ts';

/** What was signed, and what it says: read once, where it comes in, because a cold start brings a thousand of them. */
export type Signed = Sealed & { readonly record: NodeRecord };

/** A record is 500 to 1,000 bytes; this leaves room for many models and for what newer versions add. UTF-8 bytes. */
export const textBytesMax = 8_192;

/** What a node signs says what it is, so that no signature of one kind serves for another. */
const signedText = (text: string): string => `record:${text}`;

/**
 * The record sealed, and how many of its models were told: a list that does not fit is cut at its end, because a record
 * that nobody takes would hide the rest of the node, its drain above all.
 */
export function sealRecord(
  record: NodeRecord,
  seal: Seal,
): { readonly sealed: Signed; readonly told: number } {
  let said = record;
  let text = JSON.stringify(said);
  let told = record.engine.phase === 'none' ? 0 : record.engine.models.length;
  while (bytesOf(text) > textBytesMax && record.engine.phase !== 'none' && told > 0) {
    told--;
    said = { ...record, engine: { ...record.engine, models: record.engine.models.slice(0, told) } };
    text = JSON.stringify(said);
  }
  return { sealed: { record: said, text, signature: seal.sign(signedText(text)) }, told };
}

/** What the text says, whoever signed it: ask `isOwners` before it counts. null: no record, or too long to keep. */
export function openRecord({ text, signature }: Sealed): Signed | null {
  // Text that is not well-formed would not be the same text after its way over the wire.
  if (text.length > textBytesMax || !text.isWellFormed()) return null;
  // A UTF-16 unit is three bytes at most, so usual records need not be encoded to be measured.
  if (text.length * 3 > textBytesMax && bytesOf(text) > textBytesMax) return null;
  const record = recordFromText(text);
  return record === null ? null : { text, signature, record };
}

/** Whether the record's owner signed it. The costly part: about a hundred microseconds. */
export const isOwners = ({ record, text, signature }: Signed, seal: Seal): boolean =>
  seal.verify(record.peerId, signedText(text), signature);

const bytesOf = (text: string): number => new TextEncoder().encode(text).byteLength;
