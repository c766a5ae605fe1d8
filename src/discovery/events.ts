/** What discovery is told, what it asks for, and what nodes tell each other of the instances that they saw in EC2. */
import type { MemberId } from '../std/member-id.ts';

export type Endpoint = { readonly host: string; readonly port: number };

/** One instance of the cluster in an answer of EC2, or of whatever else lists the cluster. */
export type Listed = {
  readonly id: MemberId;
  /** null until the instance has tagged itself. */
  readonly peerId: string | null;
  /** null: nobody can dial it; it may dial us. */
  readonly address: Endpoint | null;
  readonly zone: string;
  /** `operator` has no voice: it is let in and no more. */
  readonly role: string;
  /** It said goodbye. */
  readonly left: boolean;
};

/** One instance as somebody's look showed it, told to those that did not look. */
export type Entry = {
  readonly id: MemberId;
  readonly peerId: string;
  readonly address: Endpoint;
  readonly zone: string;
  readonly role: string;
  /** It said goodbye, or is listed no more. */
  readonly left?: boolean;
  /** How long ago the look was that showed it; none: this is word of a look that was just had. */
  readonly ageMs?: number;
};

/** This instance is of the cluster and holds this key. */
export type Binding = {
  readonly id: MemberId;
  readonly peerId: string;
  /** null only without a voice: such a one is never dialled, it comes to us. */
  readonly address: Endpoint | null;
  readonly zone: string;
  readonly role: string;
  /** False for an operator: no vote, no lease, no record of service. */
  readonly voter: boolean;
};

export type Event =
  /** All pages of an answer. Answers `look`, as does `look-failed`. */
  | { readonly type: 'looked'; readonly listed: readonly Listed[] }
  /** `kind` is that of the Failure: `busy` is throttling and waits longer. */
  | { readonly type: 'look-failed'; readonly kind: string; readonly why: string }
  /**
   * Somebody with this proven peer id stands at the door (`isHere`), or signed what we were told. Answered by `settled`,
   * sooner or later.
   */
  | { readonly type: 'stranger'; readonly peerId: string; readonly isHere: boolean }
  /** The owner of this key has signed that it is this instance. */
  | { readonly type: 'signed'; readonly peerId: string; readonly id: MemberId }
  /** `by` has been authenticated. Without entries it says that it looked and found nothing new. */
  | { readonly type: 'vouched'; readonly by: MemberId; readonly entries: readonly Entry[] }
  /** Membership's view of a member changed: `live` when it is alive, `left` when it said goodbye. */
  | { readonly type: 'judged'; readonly id: MemberId; readonly live: boolean; readonly left: boolean }
  /**
   * What an earlier life of this node on this machine knew of the others when it last had word of them, `ageMs` ago.
   * Once, and before anything else.
   */
  | { readonly type: 'remembered'; readonly entries: readonly Entry[]; readonly ageMs: number }
  /** A connection with this peer stands. */
  | { readonly type: 'met'; readonly peerId: string }
  /** It stands no more. */
  | { readonly type: 'parted'; readonly peerId: string }
  /** Nobody answers at its address, or somebody else does. */
  | { readonly type: 'unreached'; readonly id: MemberId }
  /** A member with a voice asks whose these keys are. */
  | { readonly type: 'asked'; readonly by: MemberId; readonly peerIds: readonly string[] }
  /** Nobody answers us though others are bound. */
  | { readonly type: 'isolated' }
  | { readonly type: 'tick' };

type Fact =
  | { readonly fact: 'discovery.failed'; readonly why: string }
  | { readonly fact: 'discovery.overfull'; readonly dropped: number };

export type Effect =
  /** Answer with `looked` or `look-failed`; one is under way at most. */
  | { readonly type: 'look' }
  /** New, or something of it changed. */
  | { readonly type: 'bound'; readonly binding: Binding }
  | { readonly type: 'unbound'; readonly id: MemberId }
  /** No member holds this key any more: what stands under its name is cut. */
  | { readonly type: 'barred'; readonly peerId: string }
  /** It was shown with another key, and looks do not tell which is newer: is it there? Answered by `met` or `unreached`. */
  | { readonly type: 'disputed'; readonly id: MemberId }
  /** To everyone, or to this peer: at most 64 entries, to everyone possibly none. */
  | { readonly type: 'vouch'; readonly entries: readonly Entry[]; readonly to: string | null }
  /** Ask some who are connected whose these keys are, 64 at most: what they know comes as `vouched`. */
  | { readonly type: 'ask'; readonly peerIds: readonly string[] }
  /** For the next life of this node on this machine: who may be in the cluster, as of now. */
  | { readonly type: 'remember'; readonly entries: readonly Entry[] }
  /** What became of a stranger. */
  | { readonly type: 'settled'; readonly peerId: string; readonly admitted: boolean }
  | { readonly type: 'fact'; readonly fact: Fact };
