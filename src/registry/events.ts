/** What the registry is told, what it wants done, and what registries say to each other. */
import type { MemberId } from '../std/member-id.ts';
import type { EngineStatus, Life, NodeRecord } from './record.ts';
import type { Signed } from './sealed.ts';
import type { ViewHash } from './view-hash.ts';

/** What a node may change about itself while it runs. */
export type Change = { readonly life?: Life; readonly engine?: EngineStatus };

/** One member as a digest shows it: how new the record is that the sender holds, and whether it holds it dead. */
export type Entry = {
  readonly id: MemberId;
  readonly incarnation: number;
  readonly sequence: number;
  readonly dead: boolean;
};

export type RegistryMessage =
  /** By gossip and on direct streams; all others on direct streams only. */
  | ({ readonly type: 'record' } & Signed)
  /** Answers `want`, with as many as the sender has; possibly none. */
  | { readonly type: 'records'; readonly records: readonly Signed[] }
  /** Begins a comparison: the hashes of all buckets, in order. */
  | { readonly type: 'hashes'; readonly buckets: readonly ViewHash[] }
  /**
   * All that the sender knows in these buckets. The answer to `hashes` has `reply: false` and is answered by our own
   * entries of the same buckets with `reply: true`, so that both sides see what the other one has.
   */
  | {
      readonly type: 'entries';
      readonly buckets: readonly number[];
      readonly entries: readonly Entry[];
      readonly reply: boolean;
    }
  | { readonly type: 'want'; readonly ids: readonly MemberId[] };

export type Event =
  /** We changed. Raises the sequence, if anything differs at all. */
  | { readonly type: 'revised'; readonly change: Change }
  /** Somebody holds us dead: raise the incarnation and say so. */
  | { readonly type: 'refute' }
  /** The peer's beat carried the hash of its view. */
  | { readonly type: 'beaten'; readonly peerId: string; readonly hash: ViewHash }
  /** `author`: the authenticated peer that handed it in; null for gossip whose publisher is not authenticated. */
  | {
      readonly type: 'message';
      readonly author: string | null;
      readonly message: RegistryMessage;
      readonly via: 'direct' | 'gossip';
    }
  | { readonly type: 'connected'; readonly peerId: string }
  | { readonly type: 'disconnected'; readonly peerId: string }
  /** Discovery knows this instance, under this peer id; again with another peer id when that changed. */
  | { readonly type: 'bound'; readonly id: MemberId; readonly peerId: string }
  | { readonly type: 'unbound'; readonly id: MemberId }
  /** Membership's verdict, for the digests: dead, or not dead any more. */
  | { readonly type: 'judged'; readonly id: MemberId; readonly dead: boolean }
  | { readonly type: 'tick' };

/** Each is told at most once a second. */
export type RegistryFact =
  /** A record whose signature is not its owner's; `peerId` handed it in, null when nobody is to blame. */
  | { readonly fact: 'record.forged'; readonly peerId: string | null; readonly member: MemberId }
  /** The member changes its record faster than an honest one can; what is too much waits for the next comparison. */
  | { readonly fact: 'record.flooding'; readonly member: MemberId }
  /** Our own record outgrew a message; the last of its models are not told. */
  | { readonly fact: 'record.oversized'; readonly models: number; readonly told: number }
  /** Our record of an earlier life outranked this one; ours has been raised above it. */
  | { readonly fact: 'record.outlived'; readonly incarnation: number }
  /** More members than the registry keeps; this one's record is not kept. */
  | { readonly fact: 'registry.overfull'; readonly member: MemberId };

export type Effect =
  | { readonly type: 'gossip'; readonly message: RegistryMessage }
  | { readonly type: 'send'; readonly peerId: string; readonly message: RegistryMessage }
  /** A newer record is held now: another member's, its signature, owner and order checked, or our own. */
  | { readonly type: 'recorded'; readonly record: NodeRecord }
  /** A well-signed record of a peer that discovery does not know, or knows as another instance than `id`, which it names. */
  | { readonly type: 'stranger'; readonly peerId: string; readonly id: MemberId }
  /** A digest of the member `by` holds `id` dead, or lacks it, and ours does not. */
  | {
      readonly type: 'rumoured';
      readonly by: MemberId;
      readonly id: MemberId;
      readonly incarnation: number;
      readonly says: 'dead' | 'nothing';
    }
  /** A digest of the member `by` holds us dead. */
  | { readonly type: 'accused'; readonly by: MemberId; readonly incarnation: number }
  | { readonly type: 'fact'; readonly fact: RegistryFact };
