/**
 * All that one node knows of one member, and from whom: what `synkti explain member` prints when a person asks why
 * that node holds another for suspect or dead. Plain data, because it crosses a thread and a socket.
 *
 * Every age is in whole milliseconds by the clock of the node that explains, at the moment it was asked. Nothing here
 * decides anything.
 */
import type { Evidence } from '../membership/events.ts';
import type { Health } from '../membership/health.ts';

export type MemberExplanation = {
  readonly id: string;
  /** The one that explains is the one explained: what others hold of it, it does not know. */
  readonly self: boolean;
  readonly health: Health;
  /** What brought it to this health, in a word, and how long ago. */
  readonly why: string;
  readonly sinceMs: number;

  /** Who it may be, by the cloud or the settings. null: only ourselves, before we were listed. */
  readonly binding: {
    readonly peerId: string;
    /** host:port of its libp2p listener; null: it has none. */
    readonly address: string | null;
    readonly zone: string;
    readonly role: string;
    readonly ageMs: number;
    /** Epochs in which the cloud did not list it, though it is still kept. */
    readonly absences: number;
    /** Members that tell another thing of it, which nobody else has confirmed. */
    readonly claims: readonly Age[];
  } | null;

  /** What it says of itself, by the newest record of it; null: none has come. */
  readonly record: {
    readonly incarnation: number;
    readonly sequence: number;
    readonly role: string;
    readonly version: string;
    readonly phase: string;
    readonly engine: string;
    /** Since it came; null: it is our own. */
    readonly ageMs: number | null;
    /** The member that told it, most often itself; null: our own. */
    readonly from: string | null;
  } | null;

  readonly connection: {
    readonly connected: boolean;
    /** Since its last word on its own connection, beats among them; null: there was none. */
    readonly heardMs: number | null;
    /** null: no dial is wanted. */
    readonly dial: {
      readonly failures: number;
      readonly isUnderWay: boolean;
      readonly nextMs: number;
    } | null;
  };

  readonly observation: {
    /** By our own view of the rings; the first two tell when it is slow. */
    readonly observers: readonly string[];
    readonly weObserveIt: boolean;
    /** It asked for our beats. */
    readonly itObservesUs: boolean;
    /** What we ourselves hold against it, whatever others say. */
    readonly doubt: 'closed' | 'silent' | 'request' | 'replaced' | null;
    /** What its kernel said when we last asked; null: nothing made us ask. */
    readonly finding: { readonly evidence: Evidence; readonly ageMs: number } | null;
  };

  /** Those that count, newest first. */
  readonly votes: readonly (Age & { readonly evidence: Evidence | 'alive'; readonly expiresInMs: number })[];
  /** Members that told us that it is dead, or that we are: rumours, never believed by themselves. */
  readonly deadAccordingTo: readonly Age[];
};

type Age = { readonly by: string; readonly ageMs: number };
