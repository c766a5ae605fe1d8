/**
 * What an entry node lets go of when its logs are too much for it. First what others have all of, or nobody will. Then, of
 * the key that has most, the largest log, though its answer still runs: that answer goes on, but ends with this node, as
 * its owner is told.
 */
import { ByteWriter } from '../std/bytes.ts';
import { giveBack, most, put } from '../std/room.ts';
import type { Instant } from '../std/time.ts';
import type { Effect, Kept, State } from './kept.ts';
import { mark, unmark } from './posting.ts';

/** So much was added to it. */
export function charge(state: State, kept: Kept, bytes: number): void {
  put(state.room, kept.owner, bytes);
  if (kept.ended !== null) put(state.ended, kept.owner, bytes);
}

export function drop(state: State, kept: Kept): void {
  forget(state, kept);
  for (const { member } of kept.copies) unmark(state, member, kept.number);
  state.kept.delete(kept.number);
}

/** `but`: stays, because nobody listens yet who could be told. */
export function makeRoom(state: State, but: Kept | null, now: Instant): readonly Effect[] {
  while (state.ended.taken > state.ended.max) {
    const oldest = oldestOf(state);
    if (oldest === null) break;
    drop(state, oldest);
  }
  const effects: Effect[] = [];
  while (state.room.taken > state.room.max) {
    const next = oldestOf(state) ?? largestOf(state, but);
    if (next === null) break;
    if (next.ended === null) effects.push({ type: 'outgrown', id: next.id });
    if (mayGo(next)) drop(state, next);
    else giveUp(state, next, now);
  }
  return effects;
}

/** Of those that may go, of whoever has most of what has ended, and of others where none of that may. */
function oldestOf(state: State): Kept | null {
  const { kept, ended } = state;
  const top = most(ended, null);
  let oldest: Kept | null = null;
  let size = 0;
  for (const one of kept.values()) {
    if (!mayGo(one)) continue;
    if (one.owner === top) return one;
    const own = ended.byOwner.get(one.owner) ?? 0;
    if (own <= size) continue;
    oldest = one;
    size = own;
  }
  return oldest;
}

/** Others have all of it, or nobody will. */
const mayGo = ({ ended, copies }: Kept): boolean => ended !== null && copies.every((copy) => copy.ended);

function largestOf({ kept, room }: State, but: Kept | null): Kept | null {
  const top = most(room, null);
  let largest: Kept | null = null;
  for (const one of kept.values())
    if (one !== but && one.owner === top && one.log.length > (largest?.log.length ?? 0)) largest = one;
  return largest;
}

/** Nobody can go on with it any more, which whoever holds a part of it hears. */
function giveUp(state: State, kept: Kept, now: Instant): void {
  forget(state, kept);
  kept.log = new ByteWriter();
  kept.ended = { freeAt: now };
  for (const copy of kept.copies) {
    [copy.acked, copy.ended] = [0, false];
    mark(state, copy.member, kept.number, { bytes: 0, urgent: false });
  }
}

function forget(state: State, { number, id, owner, log, ended }: Kept): void {
  giveBack(state.room, owner, log.length);
  if (ended !== null) giveBack(state.ended, owner, log.length);
  state.lacking.delete(number);
  if (state.numberById.get(id) === number) state.numberById.delete(id);
}
