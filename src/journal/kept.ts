/** What an entry node keeps of its streams' logs and of the members that hold copies of them. */
import type { ByteWriter } from '../std/bytes.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Room } from '../std/room.ts';
import type { Instant } from '../std/time.ts';
import type { Fence } from './fence.ts';
import type { Candidate } from './rendezvous.ts';
import type { Update } from './wire.ts';

export type Copy = {
  readonly member: MemberId;
  readonly zone: string;
  /** Bytes that it has; -1: it knows nothing. */
  acked: number;
  ended: boolean;
  touchedAt: Instant;
};

export type Kept = {
  readonly number: number;
  readonly id: string;
  /** The key whose stream it is; empty: none. */
  readonly owner: string;
  readonly fence: Fence;
  /** Empty: it was given up. */
  log: ByteWriter;
  copies: Copy[];
  /** Who had no room for it, or was too slow for so much. */
  readonly full: Map<MemberId, { readonly ms: number; readonly until: Instant }>;
  /** null: it grows. */
  ended: { readonly freeAt: Instant } | null;
  /** What copies had when it was last told: the best one, the least one, how many there are. */
  told: { bytes: number; least: number; copies: number };
};

export type Sent = {
  readonly number: number;
  readonly bytes: number;
  readonly ended: boolean;
  /** It alone is more than a batch should be: that takes its time, and says little of the member when it fails. */
  readonly isLarge: boolean;
};

export type Peer = {
  /** Streams with something new for it. */
  readonly dirty: Set<number>;
  dirtyBytes: number;
  /** Those of them of which somebody waits for a copy. */
  readonly urgent: Set<number>;
  /** The last batch, and the last one that had all that was new. */
  sentAt: Instant;
  sentAllAt: Instant;
  /** A stream that begins waits until then for others that do. */
  gathersUntil: Instant;
  underWay: { readonly batch: number; readonly sent: readonly Sent[] } | null;
  shunnedUntil: Instant;
};

export type State = {
  readonly session: number;
  readonly zone: string;
  candidates: readonly Candidate[];
  readonly kept: Map<number, Kept>;
  readonly numberById: Map<string, number>;
  readonly peers: Map<MemberId, Peer>;
  /** Streams that have fewer copies than they want. */
  readonly lacking: Set<number>;
  /** What all logs take up, by key, and those that have ended. */
  readonly room: Room;
  readonly ended: Room;
  nextNumber: number;
  nextBatch: number;
  lookAt: Instant;
  /** When the next batch is due, or earlier. */
  postAt: Instant;
};

export type Effect =
  /** To be answered by `answered` or `failed`. */
  | {
      readonly type: 'post';
      readonly member: MemberId;
      readonly batch: number;
      readonly updates: readonly Update[];
    }
  /** What copies have is other than before, and so many have anything. */
  | { readonly type: 'copied'; readonly id: string; readonly copies: number }
  /** It runs, and is kept no more. */
  | { readonly type: 'outgrown'; readonly id: string }
  /** It was ended here, because it is another entry node's. */
  | { readonly type: 'fenced'; readonly id: string };

/** Of a log's bytes. */
export type Reach = { readonly best: number; readonly each: number };

export function find({ numberById, kept }: State, id: string): Kept | null {
  const number = numberById.get(id);
  return number === undefined ? null : (kept.get(number) ?? null);
}

/** Only what changed. */
export function tell(kept: Kept): readonly Effect[] {
  const having = kept.copies.filter(({ acked }) => acked >= 0);
  const bytes = having.reduce((most, { acked }) => Math.max(most, acked), -1);
  const least = having.reduce((few, { acked }) => Math.min(few, acked), bytes);
  const { told } = kept;
  if (bytes === told.bytes && least === told.least && having.length === told.copies) return [];
  kept.told = { bytes, least, copies: having.length };
  return [{ type: 'copied', id: kept.id, copies: having.length }];
}
