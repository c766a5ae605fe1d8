/**
 * A vote as it travels: the text that the voter signed, the same on direct streams and by gossip. It names its voter, so
 * that whoever passes it on need not be trusted.
 */
import { z } from 'zod';
import type { Vote } from '../membership/events.ts';
import { parseJson } from '../std/json.ts';
import { memberId } from '../std/member-id.ts';
import type { Seal, Sealed } from '../std/seal.ts';

/** `by`: the peer id that signed it. */
type OpenedVote = { readonly by: string; readonly vote: Vote };

/** As it was signed, and what it says: read once, where it comes in. */
export type SealedVote = { readonly type: 'vote' } & Sealed & OpenedVote;

/** A vote is 200 characters. */
const textMax = 1_024;

/** What a node signs says what it is, so that no signature of one kind serves for another. */
const signedText = (text: string): string => `vote:${text}`;

export function sealVote({ by, vote }: OpenedVote, seal: Seal): SealedVote {
  const text = JSON.stringify({ by, ...vote });
  return { type: 'vote', by, vote, text, signature: seal.sign(signedText(text)) };
}

/**
 * Reads a vote without checking who signed it, because most of what comes is known already: ask `isVoters` before it
 * counts. null: no vote that this version knows.
 */
export function openVote({ text, signature }: Sealed): SealedVote | null {
  if (text.length > textMax || !text.isWellFormed()) return null;
  const parsed = schema.safeParse(parseJson(text)).data;
  if (parsed === undefined) return null;
  const { by, ...vote } = parsed;
  return { type: 'vote', by, vote, text, signature };
}

export const isVoters = ({ by, text, signature }: SealedVote, seal: Seal): boolean =>
  seal.verify(by, signedText(text), signature);

const count = z.int().min(0);
const name = z.string().min(1).max(256);

const schema = z.object({
  by: name,
  subject: name.transform(memberId),
  incarnation: count,
  evidence: z.enum(['refused', 'timeout', 'slow', 'alive']),
  life: count.default(0),
  sequence: count,
});
