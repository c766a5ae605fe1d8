/** When a batch goes to a member, and what is in it. */
import type { MemberId } from '../std/member-id.ts';
import { after, earliest, instant, never, type Instant } from '../std/time.ts';
import type { Copy, Effect, Kept, Peer, Sent, State } from './kept.ts';
import type { Update } from './wire.ts';

/** Between two batches of all that is new for a member, ms: a few tokens of a usual stream each time. */
const batchMs = 100;
/** Between two batches of any kind: what somebody waits for goes ahead of the rest. ms */
const urgentMs = 3;
/** Those that begin go together, and leave what engines are asked ahead; none has a first token so soon. ms */
const openingMs = 3;
/** Goes at once, bytes. */
const filled = 64 * 1_024;
/** Of one batch, bytes; a log as a whole may be larger, and goes in one piece. */
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
      ...{ dirty: new Set<number>(), dirtyBytes: 0, urgent: new Set<number>(), underWay: null },
      ...{ sentAt: instant(-Infinity), sentAllAt: instant(-Infinity), gathersUntil: instant(-Infinity) },
      shunnedUntil: instant(-Infinity),
    };
    state.peers.set(member, peer);
  }
  peer.dirty.add(number);
  peer.dirtyBytes += bytes;
  if (urgent) peer.urgent.add(number);
  state.postAt = earliest(state.postAt, dueAt(peer));
}

/** Of a stream that has just begun: what it is goes to this member behind what its engine is asked, with others that begin. */
export function gather(state: State, member: MemberId, now: Instant): void {
  const peer = state.peers.get(member);
  // Somebody waits already, or gathers.
  if (peer === undefined || peer.urgent.size > 1) return;
  peer.gathersUntil = after(now, openingMs);
}

/** Nothing of it is for this member any more. */
export function unmark(state: State, member: MemberId, number: number): void {
  const peer = state.peers.get(member);
  peer?.dirty.delete(number);
  peer?.urgent.delete(number);
}

function dueAt(peer: Peer): Instant {
  if (peer.dirty.size === 0 || peer.underWay !== null) return never;
  const soon = instant(Math.max(after(peer.sentAt, urgentMs), peer.gathersUntil));
  if (peer.urgent.size > 0 || peer.dirtyBytes >= filled) return soon;
  return instant(Math.max(soon, after(peer.sentAllAt, batchMs)));
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

/** What somebody waits for, and when its time has come, all the rest. */
function fill(
  state: State,
  { member, peer }: { readonly member: MemberId; readonly peer: Peer },
  now: Instant,
): { updates: Update[]; sent: Sent[] } {
  const updates: Update[] = [];
  const sent: Sent[] = [];
  let bytes = 0;
  const take = (number: number): void => {
    peer.dirty.delete(number);
    peer.urgent.delete(number);
    const kept = state.kept.get(number);
    const copy = kept?.copies.find((one) => one.member === member);
    if (kept === undefined || copy === undefined) return;
    addNews(updates, kept, copy, now);
    const news = kept.log.length - Math.max(0, copy.acked);
    bytes += news;
    const isLarge = news > batchBytesMax;
    sent.push({ number, bytes: kept.log.length, ended: kept.ended !== null, isLarge });
  };
  const isForAll = after(peer.sentAllAt, batchMs) <= now || peer.dirtyBytes >= filled;
  for (const numbers of isForAll ? [peer.urgent, peer.dirty] : [peer.urgent])
    for (const number of numbers) {
      if (bytes > batchBytesMax) break;
      take(number);
    }
  if (isForAll) peer.sentAllAt = now;
  peer.dirtyBytes = isForAll ? 0 : Math.max(0, peer.dirtyBytes - bytes);
  return { updates, sent };
}

/** Whoever hears late of an end, or of the stream at all, is told what is left of the time for which it lingers. */
function addNews(
  updates: Update[],
  { number, id, owner, fence, log, ended }: Kept,
  copy: Copy,
  now: Instant,
): void {
  const before = updates.length;
  if (copy.acked < 0) updates.push({ type: 'open', number, id, fence, bytes: log.bytes(), owner });
  else if (copy.acked < log.length)
    updates.push({ type: 'grow', number, offset: copy.acked, bytes: log.bytes(copy.acked) });
  if (ended !== null && !copy.ended)
    updates.push({ type: 'end', number, lingerMs: Math.max(0, Math.ceil(ended.freeAt - now)) });
  if (updates.length === before) updates.push({ type: 'touch', number });
}
