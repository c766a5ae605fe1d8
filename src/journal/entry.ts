/**
 * The entry node's side of its streams' journal: each stream's log goes to two other members as it grows, in batches,
 * one under way to each member at a time. What is new gathers for a while, so that many streams share one request; a
 * log of which somebody waits for a copy (`urgent`) goes ahead of the others.
 *
 *   open ──► grow … ──► end ──linger──► gone          a member is lost, or full ──► another one gets the whole log
 *
 * A holder that has lost a log asks for all of it; a holder that knows a higher fence says that the stream is another
 * entry node's by now, which ends it here.
 */
import { assert, unreachable } from '../std/assert.ts';
import { ByteWriter } from '../std/bytes.ts';
import type { MemberId } from '../std/member-id.ts';
import { newRoom, put } from '../std/room.ts';
import { after, earliest, instant, never, type Instant } from '../std/time.ts';
import { isBelow, type Fence } from './fence.ts';
import { charge, drop, makeRoom } from './giving-way.ts';
import { find, tell, type Copy, type Effect, type Kept, type Reach, type Sent, type State } from './kept.ts';
import { gather, mark, post, unmark } from './posting.ts';
import { nextPlace, type Candidate } from './rendezvous.ts';
import type { HeldLog, Verdict } from './wire.ts';

/** With the entry node's own, three: any two may be lost at once. */
const copiesWanted = 2;
/** A larger log gets no copy, and its count of copies says so: whole, it would not go through at a holder. */
const copyBytesMax = 48 * 1_024 ** 2;
/** How long a member that did not take a batch gets no new copies while there are others, ms. */
const shunMs = 5_000;
/** How often streams are looked after that nobody spoke of, ms. */
const lookMs = 1_000;
/** Well within what a holder takes for silence, ms. */
const touchMs = 60_000;
/** What ended streams may take up of our own memory: of the key that has most of it the oldest go first. */
const endedBytesMax = 64 * 1_024 ** 2;
/** And all together: four thousand answers of five thousand tokens with their prompts. */
const logsBytesMax = 256 * 1_024 ** 2;
/** How long a member is not asked again for a log that it had no room for: at first, and twice as long each time, ms. */
const fullMs = { first: 15_000, max: 240_000 };

export type Event =
  /** `urgent`: somebody waits until a copy has it. */
  | {
      readonly type: 'open';
      readonly id: string;
      /** The key whose stream it is; empty: none. */
      readonly owner: string;
      readonly fence: Fence;
      readonly bytes: Uint8Array;
      readonly urgent: boolean;
    }
  /** The same. */
  | { readonly type: 'append'; readonly id: string; readonly bytes: Uint8Array; readonly urgent: boolean }
  /** `lingerMs`: how long it may still be asked for; 0: nobody can go on with it. */
  | { readonly type: 'end'; readonly id: string; readonly lingerMs: number }
  /** Another entry node has it now. */
  | { readonly type: 'fence'; readonly id: string; readonly fence: Fence }
  | {
      readonly type: 'answered';
      readonly member: MemberId;
      readonly batch: number;
      readonly verdicts: readonly Verdict[];
    }
  | { readonly type: 'failed'; readonly member: MemberId; readonly batch: number }
  | { readonly type: 'members'; readonly candidates: readonly Candidate[] }
  | { readonly type: 'tick' };

type Step = readonly [State, readonly Effect[]];

export const init = (options: { readonly session: number; readonly zone: string }): State => ({
  ...options,
  candidates: [],
  kept: new Map(),
  numberById: new Map(),
  peers: new Map(),
  lacking: new Set(),
  room: newRoom(logsBytesMax),
  ended: newRoom(endedBytesMax),
  nextNumber: 1,
  nextBatch: 1,
  lookAt: never,
  postAt: never,
});

export const wake: Event = { type: 'tick' };

export const deadline = ({ lookAt, postAt }: State): Instant => earliest(lookAt, postAt);

/** The log of one of our own streams; null: it is none. */
export function logOf(state: State, id: string): HeldLog | null {
  const kept = find(state, id);
  return kept && { bytes: kept.log.bytes(), fence: kept.fence, ended: kept.ended !== null };
}

/** Who holds copies of it, or will soon: who was late, and has not answered since, is not to be waited for. */
export const holdersOf = (state: State, id: string): readonly MemberId[] =>
  awaited(state, id).map(({ member }) => member);

/** How much of it, bytes, the best of these has, and each of them; infinite where there are none. */
export function reachOf(state: State, id: string): Reach {
  let [best, each] = [-1, Infinity];
  for (const { acked } of awaited(state, id)) {
    best = Math.max(best, acked);
    each = Math.min(each, acked);
  }
  return { best: each === Infinity ? Infinity : best, each };
}

const awaited = (state: State, id: string): readonly Copy[] =>
  (find(state, id)?.copies ?? []).filter(({ member }) => state.peers.get(member)?.shunnedUntil === -Infinity);

export function step(state: State, event: Event, now: Instant): Step {
  const effects = act(state, event, now);
  const posts = post(state, now);
  return [state, posts.length === 0 ? effects : [...effects, ...posts]];
}

function act(state: State, event: Event, now: Instant): readonly Effect[] {
  switch (event.type) {
    case 'open':
      return onOpen(state, event, now);
    case 'append':
      return onAppend(state, event, now);
    case 'end':
      return onEnd(state, event, now);
    case 'fence': {
      const kept = find(state, event.id);
      return kept !== null && isBelow(kept.fence, event.fence) ? fenceOff(state, kept) : [];
    }
    case 'answered':
      return onAnswered(state, event, now);
    case 'failed':
      return onFailed(state, event, now);
    case 'members':
      return onMembers(state, event.candidates, now);
    case 'tick':
      return now < state.lookAt ? [] : onLook(state, now);
    default:
      return unreachable(event);
  }
}

function onOpen(
  state: State,
  { id, owner, fence, bytes, urgent }: Extract<Event, { type: 'open' }>,
  now: Instant,
): readonly Effect[] {
  const former = find(state, id);
  if (former !== null) drop(state, former);
  const number = state.nextNumber++;
  const log = new ByteWriter(bytes.length + 1_024).raw(bytes);
  const kept: Kept = {
    ...{ number, id, owner, fence, log, copies: [], full: new Map<MemberId, never>(), ended: null },
    told: { bytes: -1, least: -1, copies: 0 },
  };
  state.kept.set(number, kept);
  state.numberById.set(id, number);
  state.lookAt = earliest(state.lookAt, after(now, lookMs));
  place(state, kept, { now, urgent });
  if (urgent) for (const { member } of kept.copies) gather(state, member, now);
  charge(state, kept, bytes.length);
  const outgrown = makeRoom(state, kept, now);
  return former !== null && former.ended === null ? [{ type: 'fenced', id }, ...outgrown] : outgrown;
}

function onAppend(
  state: State,
  { id, bytes, urgent }: Extract<Event, { type: 'append' }>,
  now: Instant,
): readonly Effect[] {
  const kept = find(state, id);
  if (kept === null || kept.ended !== null) return [];
  kept.log.raw(bytes);
  for (const { member } of kept.copies) mark(state, member, kept.number, { bytes: bytes.length, urgent });
  charge(state, kept, bytes.length);
  return makeRoom(state, null, now);
}

function onEnd(
  state: State,
  { id, lingerMs }: Extract<Event, { type: 'end' }>,
  now: Instant,
): readonly Effect[] {
  const kept = find(state, id);
  if (kept === null || kept.ended !== null) return [];
  kept.ended = { freeAt: after(now, lingerMs) };
  put(state.ended, kept.owner, kept.log.length);
  state.lookAt = earliest(state.lookAt, after(now, lookMs));
  // Whoever waits for the last of it has said so with that.
  for (const { member } of kept.copies) mark(state, member, kept.number, { bytes: 0, urgent: false });
  return makeRoom(state, null, now);
}

/** Of several entry nodes that had it, only the last may speak of it. */
function fenceOff(state: State, kept: Kept): readonly Effect[] {
  drop(state, kept);
  return kept.ended === null ? [{ type: 'fenced', id: kept.id }] : [];
}

function onAnswered(
  state: State,
  { member, batch, verdicts }: Extract<Event, { type: 'answered' }>,
  now: Instant,
): readonly Effect[] {
  const peer = state.peers.get(member);
  if (peer?.underWay?.batch !== batch) return [];
  const { sent } = peer.underWay;
  peer.underWay = null;
  peer.shunnedUntil = instant(-Infinity);
  // What gathered meanwhile may be due.
  state.postAt = now;
  const whyByNumber = new Map(verdicts.map(({ number, why }) => [number, why]));
  return sent.flatMap(({ number, bytes, ended }) => {
    const kept = state.kept.get(number);
    const copy = kept?.copies.find((one) => one.member === member);
    if (kept === undefined || copy === undefined) return [];
    const why = whyByNumber.get(number);
    if (why === 'fenced') return fenceOff(state, kept);
    if (why === 'full') {
      shut(kept, member, now);
      return replace(state, kept, member, now);
    }
    copy.acked = why === 'unknown' ? -1 : bytes;
    copy.ended = why === undefined && ended;
    copy.touchedAt = now;
    if (why === 'unknown') mark(state, member, number, { bytes: 0, urgent: true });
    return tell(kept);
  });
}

function onFailed(
  state: State,
  { member, batch }: Extract<Event, { type: 'failed' }>,
  now: Instant,
): readonly Effect[] {
  const peer = state.peers.get(member);
  if (peer?.underWay?.batch !== batch) return [];
  const { sent } = peer.underWay;
  peer.underWay = null;
  state.postAt = now;
  if (sent.some(({ isLarge }) => isLarge)) return leaveBySize(state, member, sent, now);
  peer.shunnedUntil = after(now, shunMs);
  return leaveMember(state, member, now);
}

/**
 * What was too much for this member goes elsewhere. All else stays with it, what was in the same batch is told again,
 * and that tells whether the member has failed.
 */
function leaveBySize(state: State, member: MemberId, sent: readonly Sent[], now: Instant): readonly Effect[] {
  return sent.flatMap(({ number, isLarge }) => {
    const kept = state.kept.get(number);
    if (kept === undefined || !kept.copies.some((copy) => copy.member === member)) return [];
    if (isLarge) {
      shut(kept, member, now);
      return replace(state, kept, member, now);
    }
    mark(state, member, number, { bytes: 0, urgent: true });
    return [];
  });
}

function onMembers(state: State, candidates: readonly Candidate[], now: Instant): readonly Effect[] {
  state.candidates = candidates;
  const here = new Set(candidates.map(({ id }) => id));
  const effects: Effect[] = [];
  for (const [member, peer] of state.peers) {
    if (here.has(member)) continue;
    effects.push(...leaveMember(state, member, now));
    if (peer.underWay === null) state.peers.delete(member);
  }
  placeAgain(state, now);
  return effects;
}

/** Others get the whole logs of all streams that it held copies of. */
function leaveMember(state: State, member: MemberId, now: Instant): readonly Effect[] {
  const effects: Effect[] = [];
  for (const kept of state.kept.values()) {
    if (!kept.copies.some((copy) => copy.member === member)) continue;
    effects.push(...replace(state, kept, member, now));
  }
  return effects;
}

/** Now and then: what has lingered is freed, what lacks copies gets them, and silent streams say that they live. */
function onLook(state: State, now: Instant): readonly Effect[] {
  for (const kept of state.kept.values()) {
    if (isOver(kept, now)) {
      drop(state, kept);
      continue;
    }
    for (const { member, touchedAt, ended } of kept.copies)
      if (!ended && after(touchedAt, touchMs) <= now)
        mark(state, member, kept.number, { bytes: 0, urgent: false });
  }
  placeAgain(state, now);
  state.lookAt = state.kept.size === 0 ? never : after(now, lookMs);
  return [];
}

/** A holder that never took the end hears no more of it, and frees its copy by itself. */
function isOver({ ended, copies }: Kept, now: Instant): boolean {
  if (ended === null || now < ended.freeAt) return false;
  return copies.every((copy) => copy.ended) || after(ended.freeAt, shunMs) <= now;
}

function placeAgain(state: State, now: Instant): void {
  for (const number of state.lacking) {
    const kept = state.kept.get(number);
    assert(kept !== undefined, 'what lacks copies is kept');
    place(state, kept, { now, urgent: true });
  }
}

function place(
  state: State,
  kept: Kept,
  { now, urgent }: { readonly now: Instant; readonly urgent: boolean },
): void {
  const isCopied = kept.log.length > 0 && kept.log.length <= copyBytesMax;
  while (isCopied && kept.copies.length < copiesWanted) {
    const taken = new Set(kept.copies.map(({ member }) => member));
    const fit = state.candidates.filter(
      ({ id }) => !taken.has(id) && (kept.full.get(id)?.until ?? -Infinity) <= now,
    );
    const free = fit.filter(({ id }) => (state.peers.get(id)?.shunnedUntil ?? -Infinity) <= now);
    // Somebody who was late just now is better than nobody: a burst delays all members at once.
    const among = free.length === 0 ? fit : free;
    const next = nextPlace(kept.id, among, [state.zone, ...kept.copies.map(({ zone }) => zone)]);
    if (next === null) break;
    const copy = { member: next.id, zone: next.zone, acked: -1, ended: false, touchedAt: now };
    kept.copies = [...kept.copies, copy];
    mark(state, next.id, kept.number, { bytes: kept.log.length, urgent });
  }
  if (isCopied && kept.copies.length < copiesWanted) state.lacking.add(kept.number);
  else state.lacking.delete(kept.number);
}

function shut({ full }: Kept, member: MemberId, now: Instant): void {
  const last = full.get(member);
  const ms = last === undefined ? fullMs.first : Math.min(2 * last.ms, fullMs.max);
  full.set(member, { ms, until: after(now, ms) });
}

function replace(state: State, kept: Kept, member: MemberId, now: Instant): readonly Effect[] {
  kept.copies = kept.copies.filter((copy) => copy.member !== member);
  unmark(state, member, kept.number);
  place(state, kept, { now, urgent: true });
  return tell(kept);
}
