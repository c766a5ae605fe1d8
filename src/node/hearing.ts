/**
 * What becomes of a peer's words: each goes to the machine that it is for. Only records, votes and vouchers may come by
 * gossip; the rest is between two connected peers, and says by itself that the other one is alive.
 */
import type { Event as DiscoveryEvent } from '../discovery/events.ts';
import type { Event as MembershipEvent } from '../membership/events.ts';
import type { Event as RegistryEvent } from '../registry/events.ts';
import type { ViewHash } from '../registry/view-hash.ts';
import { unreachable } from '../std/assert.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Seal } from '../std/seal.ts';
import type { Fact } from './facts.ts';
import { meet, protocolRange } from './hello.ts';
import type { Message } from './message.ts';
import { isVoters, type SealedVote } from './sealed-vote.ts';
import type { MemberLoad } from './serving.ts';

export type Ears = {
  readonly seal: Seal;
  readonly member: (peerId: string) => { readonly id: MemberId; readonly voter: boolean } | undefined;
  /** No further vote on it says anything new: that saves looking at signatures. */
  readonly isSettled: (id: MemberId) => boolean;
  readonly membership: (event: MembershipEvent) => void;
  readonly registry: (event: RegistryEvent) => void;
  /** A beat with this hash is nothing new to the registry. */
  readonly agrees: (hash: ViewHash) => boolean;
  readonly discovery: (event: DiscoveryEvent) => void;
  /** We share no protocol with it. */
  readonly apart: (peerId: string, fact: Fact) => void;
  readonly loaded: (id: MemberId, load: MemberLoad) => void;
  readonly muted: (id: MemberId) => void;
};

/** Whether a message may come by gossip, and is to be passed on. What a newer version gossips goes round among its like. */
export const isGossip = (message: Message | null): boolean =>
  message?.type === 'record' || message?.type === 'vote' || message?.type === 'vouch';

type Word = { readonly author: string; readonly message: Message; readonly via: 'direct' | 'gossip' };

export function hear({ author, message, via }: Word, ears: Ears): void {
  const direct = via === 'direct';
  if (message.type === 'beat') return direct ? onBeat(author, message, ears) : undefined;
  if (direct) ears.membership({ type: 'heard', peerId: author });
  switch (message.type) {
    case 'record':
      return ears.registry({ type: 'message', author, message, via });
    case 'vote':
      return onVote(message, ears);
    case 'vouch':
      return onVouch(author, message, ears);
    case 'hello':
    case 'watch':
    case 'accused':
    case 'load':
    case 'mute':
    case 'ask':
    case 'hashes':
    case 'entries':
    case 'want':
    case 'records':
      return direct ? onDirect(author, message, ears) : undefined;
    default:
      return unreachable(message);
  }
}

function onBeat(peerId: string, { hash, stamp }: Extract<Message, { type: 'beat' }>, ears: Ears): void {
  ears.membership({ type: 'beat', peerId, stamp });
  if (!ears.agrees(hash)) ears.registry({ type: 'beaten', peerId, hash });
}

function onDirect(
  peerId: string,
  message: Exclude<Message, { type: 'beat' | 'record' | 'vote' | 'vouch' }>,
  ears: Ears,
): void {
  switch (message.type) {
    case 'hello': {
      const meeting = meet(protocolRange, peerId, message);
      return meeting.type === 'apart' ? ears.apart(peerId, meeting.fact) : undefined;
    }
    case 'watch':
      return ears.membership({ type: 'watch', peerId, on: message.on });
    case 'load':
    case 'mute': {
      const id = ears.member(peerId)?.id;
      if (id === undefined) return;
      return message.type === 'mute' ? ears.muted(id) : ears.loaded(id, message);
    }
    case 'accused': {
      const id = ears.member(peerId)?.id;
      return id === undefined ? undefined : ears.membership({ ...message, by: id });
    }
    case 'ask': {
      const asker = ears.member(peerId);
      return asker?.voter === true ? ears.discovery({ ...message, type: 'asked', by: asker.id }) : undefined;
    }
    case 'hashes':
    case 'entries':
    case 'want':
    case 'records':
      return ears.registry({ type: 'message', author: peerId, message, via: 'direct' });
    default:
      return unreachable(message);
  }
}

/** Whoever passes it on need not be trusted: it counts as its voter's. */
function onVote(sealed: SealedVote, ears: Ears): void {
  if (ears.isSettled(sealed.vote.subject)) return;
  const voter = ears.member(sealed.by);
  if (voter?.voter !== true || !isVoters(sealed, ears.seal)) return;
  ears.membership({ type: 'voted', by: voter.id, vote: sealed.vote });
}

function onVouch(author: string, { entries }: Extract<Message, { type: 'vouch' }>, ears: Ears): void {
  const voucher = ears.member(author);
  if (voucher?.voter === true) ears.discovery({ type: 'vouched', by: voucher.id, entries });
}
