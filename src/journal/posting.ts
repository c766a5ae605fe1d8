/** When a batch goes to a member, and what is in it. */
import type { MemberId } from '../std/member-id.ts';
import { after, earliest, instant, never, type Instant } from '../std/time.ts';
import type { Copy, Effect, Kept, Peer, Sent, State } from './kept.ts';
import type { Update } from './wire.ts';

/** Between two batches to a member, ms: a token of a usual stream a batch and stream; for those who wait for it. */
const batchMs = 50;
const urgentMs = 3;
/** Goes at once, bytes. */
const filled = 64 * 1_024;
/** Of one batch, bytes; a log as a whole may be larger. */
const batchBytesMax = 1_024 ** 2;
/** Something new of a stream for a member that holds a copy. */
export function mark(
  state: State,
  member: MemberId,
  number: number,
  { bytes, urgent }: { readonly bytes: number; readonly urgent: boolean },
): void {
  let peer = state.peers.get(member);
  if (peer === undefined) {
    peer = {
      ...{ dirty: new Set<number>(), dirtyBytes: 0, urgent: false, underWay: null },
      ...{ sentAt: instant(-Infinity), shunnedUntil: instant(-Infinity) },
    };
    state.peers.set(member, peer);
  }
  peer.dirty.add(number);
  peer.dirtyBytes += bytes;
  peer.urgent ||= urgent;
  state.postAt = earliest(state.postAt, dueAt(peer));
}

function dueAt({ dirty, dirtyBytes, urgent, sentAt, underWay }: Peer): Instant {
  if (dirty.size === 0 || underWay !== null) return never;
  return after(sentAt, urgent || dirtyBytes >= filled ? urgentMs : batchMs);
}

/** Sends what is due. */
export function post(state: State, now: Instant): readonly Effect[] {
  if (now < state.postAt) return nothing;
  const effects: Effect[] = [];
  state.postAt = never;
  for (const [member, peer] of state.peers) {
    if (dueAt(peer) <= now) {
      const { updates, sent } = fill(state, { member, peer }, now);
      if (updates.length > 0) {
        const batch = state.nextBatch++;
        peer.underWay = { batch, sent };
        peer.sentAt = now;
        effects.push({ type: 'post', member, batch, updates });
      }
    }
    state.postAt = earliest(state.postAt, dueAt(peer));
  }
  return effects;
}

const nothing: readonly Effect[] = [];

function fill(
  state: State,
  { member, peer }: { readonly member: MemberId; readonly peer: Peer },
  now: Instant,
): { updates: Update[]; sent: Sent[] } {
  const updates: Update[] = [];
  const sent: Sent[] = [];
  let bytes = 0;
  for (const number of peer.dirty) {
    if (bytes > batchBytesMax) break;
    peer.dirty.delete(number);
    const kept = state.kept.get(number);
    const copy = kept?.copies.find((one) => one.member === member);
    if (kept === undefined || copy === undefined) continue;
    updates.push(...newsFor(kept, copy, now));
    bytes += kept.log.length - Math.max(0, copy.acked);
    sent.push({ number, bytes: kept.log.length, ended: kept.ended !== null });
  }
  peer.dirtyBytes = 0;
  peer.urgent &&= peer.dirty.size > 0;
  return { updates, sent };
}

/** Whoever hears late of an end, or of the stream at all, is told what is left of the time for which it lingers. */
function newsFor({ number, id, fence, log, ended }: Kept, copy: Copy, now: Instant): readonly Update[] {
  const updates: Update[] = [];
  if (copy.acked < 0) updates.push({ type: 'open', number, id, fence, bytes: log.bytes() });
  else if (copy.acked < log.length)
    updates.push({ type: 'grow', number, offset: copy.acked, bytes: log.bytes(copy.acked) });
  if (ended !== null && !copy.ended)
    updates.push({ type: 'end', number, lingerMs: Math.max(0, Math.ceil(ended.freeAt - now)) });
  return updates.length > 0 ? updates : [{ type: 'touch', number }];
}
