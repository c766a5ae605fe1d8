/**
 * What the rest of the node needs of its place among its peers. The membership thread stands behind it in a daemon,
 * the `Cluster` itself in tests and in the simulator; whoever asks cannot tell.
 */
import type { Health } from '../membership/health.ts';
import type { EngineStatus, Life, NodeRecord } from '../registry/record.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Instant } from '../std/time.ts';
import type { MemberExplanation } from './explanation.ts';
import type { Listeners } from './listeners.ts';
import type { MemberLoad } from './serving.ts';

export type Known = {
  readonly id: MemberId;
  readonly peerId: string | null;
  readonly zone: string;
  readonly health: Health;
  /** Its last word on a connection of its own; null: it never had one with us. */
  readonly heardAt: Instant | null;
  /** Of this key: that of a new one may be there a moment before its health is. */
  readonly record: NodeRecord | null;
  readonly load: HeardLoad | null;
};

/** Who is dead or has left serves nothing, holds nothing and answers nothing. */
export const isHere = ({ health }: Pick<Known, 'health'>): boolean =>
  health === 'alive' || health === 'suspect';

export type HeardLoad = MemberLoad & { readonly at: Instant };

/** What a node may change about itself. */
export type Revision = { readonly life?: Life; readonly engine?: EngineStatus };

export type ClusterPort = {
  /** A member's record or health changed in a way that others act on. */
  readonly changed: Listeners<[id: MemberId]>;
  /** A member, perhaps ourselves, that told the load of its engine tells it no more: the engine stands still. */
  readonly muted: Listeners<[id: MemberId]>;
  /** This key is no member's any more: what was let in under it is to be cut. */
  readonly barred: Listeners<[peerId: string]>;
  /** The first answer of discovery has come, or its absence, or a member is there that was remembered. */
  readonly looked: Promise<void>;
  /** Discovery has answered, or a member is there: what is not known is not there. */
  readonly informed: Promise<void>;
  /** Failure `busy` or `denied` when the address cannot be had. */
  listen(): Promise<void>;
  /** Begins to look for members and to tell them; the own tags are written by then, now or earlier: peers admit by tag. */
  join(): void;
  own(): NodeRecord;
  /** Everyone else. */
  members(): readonly Known[];
  /** One of them; null: nobody of that id. */
  member(id: MemberId): Known | null;
  /** Changes the own record and tells it. */
  revise(change: Revision): void;
  /** The load of the own engine; null: it does not tell. */
  tellLoad(load: MemberLoad | null): void;
  /** A load that rode on an answer. */
  heardLoad(id: MemberId, load: MemberLoad): void;
  /** A request to it failed as requests to dead members do. */
  suspect(id: MemberId): void;
  /** Whether a proven peer id belongs to a member; asks discovery about a stranger. Never throws. */
  admit(peerId: string): Promise<boolean>;
  /** What is known of a member, from whom and how old; null: nothing. */
  explain(id: MemberId): Promise<MemberExplanation | null>;
  close(): Promise<void>;
};
