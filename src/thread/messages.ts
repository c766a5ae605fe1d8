/**
 * What the two threads of a node say to each other: plain data, cloned by the port, in order. Questions go both ways
 * and are answered or given up by a deadline; all the rest is told once.
 *
 * News goes one batch at a time: while the main thread has not taken the last one, what happens is gathered into the
 * next, where later words replace earlier ones about the same member. So a main thread that stands still for minutes
 * finds one batch, and the port between them holds two messages and no flood.
 */
import type { Listing } from '../discovery/state.ts';
import type { HeardLoad, Known, Revision } from '../node/cluster-port.ts';
import type { MemberExplanation } from '../node/explanation.ts';
import type { Fact } from '../node/facts.ts';
import type { PeerAddress, Remembered, Sighting } from '../node/ports.ts';
import type { MemberLoad } from '../node/serving.ts';
import type { NodeRecord } from '../registry/record.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Answer, GivenUp, Question } from './questions.ts';

/** What the membership thread is started with. */
export type Setup = {
  readonly own: NodeRecord;
  /** The 32 secret bytes of the node's Ed25519 key. */
  readonly keySeed: Uint8Array;
  readonly listen: PeerAddress;
  readonly listing: Listing;
  readonly discoveryMs: number;
  readonly rngSeed: number;
  /** Of an earlier life on this machine; null: nothing. */
  readonly remembered: Remembered | null;
  /** Where it is kept for the next one, and in whose name. */
  readonly memory: { readonly path: string; readonly of: string };
  /** Where both threads count their instants from; see os/clock.ts. */
  readonly originMs: number;
  /** Partitions may be tried here. */
  readonly faults: boolean;
};

/** What the main thread asks: what it gives, and what it gets. */
export type Asked = {
  readonly listen: { readonly given: null; readonly answer: null };
  readonly admit: { readonly given: string; readonly answer: boolean };
  readonly explain: { readonly given: MemberId; readonly answer: MemberExplanation | null };
  readonly close: { readonly given: null; readonly answer: null };
};

/** What the membership thread asks: the AWS SDK stays in the main thread. */
export type AskedBack = {
  readonly sightings: { readonly given: null; readonly answer: readonly Sighting[] };
};

export type ToThread =
  | Question<Asked>
  | Answer
  | GivenUp
  | { readonly type: 'join' }
  | { readonly type: 'revise'; readonly revision: number; readonly change: Revision }
  | { readonly type: 'load'; readonly load: MemberLoad | null }
  | { readonly type: 'suspect'; readonly id: MemberId }
  | { readonly type: 'isolate'; readonly on: boolean }
  /** The last news was taken: the next may come. */
  | { readonly type: 'taken' };

export type FromThread = Question<AskedBack> | Answer | GivenUp | { readonly type: 'up' } | News;

/** Everything that came about since the last batch; what did not is empty or null. */
export type News = {
  readonly type: 'news';
  /** The own record, and the last revision of the main thread that is in it. */
  readonly own: { readonly record: NodeRecord; readonly revision: number } | null;
  readonly looked: boolean;
  readonly informed: boolean;
  /** Members whose record or health changed, as they are now, and ids of those that were forgotten. */
  readonly members: readonly Known[];
  readonly forgotten: readonly MemberId[];
  readonly loads: readonly (readonly [id: MemberId, load: HeardLoad])[];
  readonly muted: readonly MemberId[];
  /** Keys that are no member's any more, or were not for a while. */
  readonly barred: readonly string[];
  /** Last words of members that said nothing new; told with the pulse only. */
  readonly heard: readonly (readonly [id: MemberId, at: Known['heardAt']])[];
  readonly facts: readonly Fact[];
  /** Every second: a thread that sends none stands still. */
  readonly pulse: Pulse | null;
};

/** Totals since the thread began. */
export type Pulse = {
  readonly cpuSeconds: number;
  readonly beatsSent: number;
  readonly beatsHeard: number;
  readonly bytesSent: number;
  /** How late this pulse is, seconds: what a beat or a deadline waited as well. */
  readonly lagSeconds: number;
};
