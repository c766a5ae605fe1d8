/**
 * All that one node knows of one member, and from whom: what `synkti explain member` prints when a person asks why
 * that node holds another for suspect or dead. Plain data, because it crosses a thread and a socket.
 *
 * Every age is whole milliseconds by the clock of the node that explains, at the moment it was asked; null is never.
 * Nothing here decides anything.
 */
import type { Health } from '../membership/member.ts';

type Evidence = 'refused' | 'timeout' | 'slow';

export type MemberExplanation = {
  readonly id: string;
  /** The one that explains is the one explained: what the others say of it is all that can be told. */
  readonly self: boolean;
  readonly health: Health;
  /** Since it is of that health. */
  readonly healthMs: number;

  /** Who it may be: what discovery holds. null: it is no longer bound to an instance of the cluster. */
  readonly binding: {
    readonly peerId: string;
    /** host:port of its libp2p listener. */
    readonly address: string;
    readonly zone: string;
    /** false: an operator, which holds no vote and is not observed. */
    readonly voter: boolean;
    /** Since our own look at the cloud last listed it. */
    readonly ownLookMs: number | null;
    /** Members that told that they found it, newest first. */
    readonly vouchers: readonly { readonly by: string; readonly ageMs: number }[];
  } | null;

  /** What it says of itself, by the newest record of it. */
  readonly record: {
    readonly incarnation: number;
    readonly sequence: number;
    readonly role: string;
    readonly version: string;
    readonly phase: string;
    /** Since we took this record. */
    readonly ageMs: number;
    /** Who handed it to us: an id, `gossip`, or `self`. */
    readonly via: string;
  } | null;

  readonly connection: {
    readonly connected: boolean;
    /** Since its last word of any kind on a direct stream. */
    readonly heardMs: number | null;
    /** Dials in a row that did not succeed, and of the last of them why. */
    readonly failedDials: number;
    readonly lastDialFailure: 'refused' | 'silent' | 'denied' | null;
  };

  readonly observation: {
    /** By our own view of the rings. */
    readonly weObserveIt: boolean;
    readonly itObservesUs: boolean;
    /** Ids, in the order of the rings. */
    readonly observers: readonly string[];
    /** Since its last beat to us; null where it owes us none. */
    readonly beatMs: number | null;
    /** The last ladder of evidence that we climbed. */
    readonly probe: {
      readonly ageMs: number;
      readonly outcomes: readonly ('answered' | 'refused' | 'silent')[];
    } | null;
  };

  /** Votes that we hold about it, newest first, also those that do not count: a stranger's to the rings, say. */
  readonly votes: readonly {
    readonly by: string;
    readonly evidence: Evidence;
    readonly incarnation: number;
    readonly ageMs: number;
    readonly expiresInMs: number;
    /** It is of an observer of the member by our view of the rings, and about its present incarnation. */
    readonly counts: boolean;
  }[];
  /** Refusals, and refusals and timeouts together, that would make it dead by our view of the rings. */
  readonly quorum: { readonly refused: number; readonly gone: number };
  /** Members that hold it dead, as far as they told us: rumours, never believed by themselves. */
  readonly deadAccordingTo: readonly string[];
};
