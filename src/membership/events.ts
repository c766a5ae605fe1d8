/**
 * What the detector is told and what it asks for. Everything here is plain data: who connects, sends, signs and probes
 * stands on the floors above.
 *
 * A member is named by its id wherever membership was agreed on, and by its peer id wherever a connection speaks: the
 * network has proven that name and no other.
 */
import type { MemberId } from '../std/member-id.ts';
import type { Endpoint, Health } from './health.ts';

/**
 * What an observer found: nobody listens for it, as the kernel says or whoever else has its address has proven; the kernel
 * says nothing; or it answers for a process that does not.
 */
export type Evidence = 'refused' | 'timeout' | 'slow';

/** Who cast it is proven by the envelope it came in. */
export type Vote = {
  readonly subject: MemberId;
  /** Of the subject, as the voter knows it; 0: it has no record of it. */
  readonly incarnation: number;
  /** `alive` withdraws whatever the voter said of this subject before. */
  readonly evidence: Evidence | 'alive';
  /**
   * The incarnation that the voter's life began with. As with records, a later life outranks whatever an earlier one
   * said, though its clock went ahead of this one's; 0: of a version that does not say.
   */
  readonly life: number;
  /**
   * A stamp of the voter, ms by a clock of its own, growing with each of its votes in one life: what is not new is a
   * replay, and what is old was held up on the way.
   */
  readonly sequence: number;
};

/** Discovery's word that this instance is of the cluster, and holds this key. */
export type Binding = {
  readonly id: MemberId;
  readonly peerId: string;
  readonly address: Endpoint;
  readonly zone: string;
  /** False for an operator: it may connect, but it neither observes nor is observed, and its votes are void. */
  readonly voter: boolean;
};

/** What became of one SYN to the subject's libp2p port. */
export type Outcome = 'answered' | 'refused' | 'silent';

/** `replaced`: who answers at the address has proven to be somebody else. `denied`: it turned us away. */
export type DialFailure = 'refused' | 'silent' | 'replaced' | 'denied';

export type Event =
  /** Discovery knows the instance, or something of it changed. Our own binding may come too. */
  | { readonly type: 'bound'; readonly binding: Binding }
  | { readonly type: 'unbound'; readonly id: MemberId }
  /** A record was accepted, perhaps our own: the registry has checked its signature and its order. */
  | { readonly type: 'recorded'; readonly id: MemberId; readonly incarnation: number; readonly left: boolean }
  /** Another key was shown of it than the one that it is bound with: whoever answers at its address proves its own. */
  | { readonly type: 'disputed'; readonly id: MemberId }
  | { readonly type: 'connected'; readonly peerId: string }
  | { readonly type: 'disconnected'; readonly peerId: string }
  /** `peerId`: by the key that was dialled, which may not be its key any more. */
  | {
      readonly type: 'dial-failed';
      readonly id: MemberId;
      readonly peerId: string;
      readonly why: DialFailure;
    }
  /** Any message on its direct stream that is not a beat. */
  | { readonly type: 'heard'; readonly peerId: string }
  /** `stamp`: of the sender, by the clock that its votes go by. */
  | { readonly type: 'beat'; readonly peerId: string; readonly stamp: number }
  /** It wants beats from us, or no more of them. */
  | { readonly type: 'watch'; readonly peerId: string; readonly on: boolean }
  | {
      readonly type: 'probed';
      readonly id: MemberId;
      readonly round: number;
      readonly outcomes: readonly Outcome[];
    }
  | { readonly type: 'voted'; readonly by: MemberId; readonly vote: Vote }
  /** A digest of `by` holds this member dead, or lacks it. */
  | {
      readonly type: 'rumoured';
      readonly by: MemberId;
      readonly id: MemberId;
      readonly incarnation: number;
      readonly says: 'dead' | 'nothing';
    }
  /** A digest of `by` holds us dead, or `by` says that those of two others do. */
  | { readonly type: 'accused'; readonly by: MemberId; readonly incarnation: number }
  /** A request to it failed as requests to dead members do. */
  | { readonly type: 'suspected'; readonly id: MemberId }
  | { readonly type: 'tick' };

export type MemberFact = {
  readonly fact:
    | 'member.joined'
    | 'member.suspected'
    | 'member.recovered'
    | 'member.died'
    | 'member.left'
    | 'member.forgotten';
  readonly member: MemberId;
  /** What led to it, in a few fixed words: `closed`, `votes`, `rumour`, `beat`, `record`, ... */
  readonly why: string;
};

export type Fact =
  | MemberFact
  /** Our own loop stood still: every silence is judged anew. */
  | { readonly fact: 'membership.stalled'; readonly ms: number }
  /** Nobody answers us though others are bound. */
  | { readonly fact: 'membership.isolated'; readonly members: number }
  /** Others hold us dead, or did: our incarnation rises. */
  | { readonly fact: 'membership.refuted'; readonly why: 'accused' | 'reconnected' }
  /** More are bound than are kept. */
  | { readonly fact: 'membership.overfull'; readonly member: MemberId };

export type Effect =
  /** Answer with `connected` or `dial-failed`. `wary`: it may well be gone, and one SYN tells that for less. */
  | {
      readonly type: 'dial';
      readonly id: MemberId;
      readonly peerId: string;
      readonly address: Endpoint;
      readonly wary: boolean;
    }
  | { readonly type: 'hang-up'; readonly peerId: string }
  /** Send a beat to each; all of them are connected. */
  | { readonly type: 'beat'; readonly peerIds: readonly string[]; readonly stamp: number }
  /** Ask this peer to beat to us, or to cease. */
  | { readonly type: 'watch'; readonly peerId: string; readonly on: boolean }
  /** Tell this peer, which is connected, that two others hold it dead in this life. */
  | { readonly type: 'accuse'; readonly peerId: string; readonly incarnation: number }
  /** Two SYNs at once, `ms` each, and an answer is one when it stands for `standMs`. Answer with `probed`, same round. */
  | {
      readonly type: 'probe';
      readonly id: MemberId;
      readonly address: Endpoint;
      readonly round: number;
      readonly ms: number;
      readonly standMs: number;
    }
  /** Seal it and tell it: `wide` by gossip, else on every direct stream. Our own vote is counted already. */
  | { readonly type: 'vote'; readonly vote: Vote; readonly wide: boolean }
  /** Raise our own incarnation and tell it. */
  | { readonly type: 'refute' }
  /** Nobody answers us: look at EC2 now. */
  | { readonly type: 'isolated' }
  /** Nobody answers at its address, or somebody else does. */
  | { readonly type: 'unreached'; readonly id: MemberId }
  /** Our view of a member changed. */
  | { readonly type: 'judged'; readonly id: MemberId; readonly health: Health }
  | { readonly type: 'fact'; readonly fact: Fact };
