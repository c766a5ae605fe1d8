/**
 * Two nodes agree on a protocol before anything else: each says which versions it speaks, and both take the highest that
 * they share. Where none is shared they part, and say so, since neither could trust what it understood.
 *
 * A new message type or a new field needs no new version: what a node does not know it lets pass. A version changes when
 * something known changes its meaning; `min` follows once no older node is left.
 */
import type { Fact } from './facts.ts';
import type { Message, ProtocolRange } from './message.ts';

/** 1 was spoken before there were greetings. */
export const protocolRange: ProtocolRange = { min: 2, max: 2 };

export type Hello = Extract<Message, { type: 'hello' }>;

type Meeting =
  | { readonly type: 'agreed'; readonly protocol: number }
  /** Report the fact and hang up. */
  | { readonly type: 'apart'; readonly fact: Fact };

export function meet(ours: ProtocolRange, peerId: string, hello: Hello): Meeting {
  const protocol = Math.min(ours.max, hello.protocol.max);
  if (protocol >= Math.max(ours.min, hello.protocol.min)) return { type: 'agreed', protocol };
  const { version } = hello;
  const { min, max } = hello.protocol;
  return { type: 'apart', fact: { fact: 'peer.incompatible', peerId, version, min, max } };
}
