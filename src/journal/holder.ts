/**
 * The copies of other nodes' streams that this node holds, in memory only: a log grows as its entry node says, in
 * order, and is given to whoever goes on with the stream. It is freed when its entry node says so, or when nobody said
 * anything of it for some minutes: then its entry node is gone, and no client came back for it. A holder that leaves hands
 * on what nobody else looks after (`node/handing-on.ts`), and another one takes it as it is.
 *
 * When the room is short, who has most of it gives way (std/room.ts): first among entry nodes, which prove who they are, and
 * within one among the keys that it names. So neither one entry node nor one key keeps the logs of others out, and a
 * name that is made up takes from nobody but its own entry node.
 *
 * What the bytes mean is nobody's business here.
 */
import { assert } from '../std/assert.ts';
import { ByteWriter } from '../std/bytes.ts';
import type { MemberId } from '../std/member-id.ts';
import { giveBack, most, newRoom, newShares, put, type Room, type Shares } from '../std/room.ts';
import { after, earliest, never, type Instant } from '../std/time.ts';
import { isBelow, yieldsTo, type Fence } from './fence.ts';
import type { Batch, HandedLog, HeldLog, Update, Verdict } from './wire.ts';

/** Of all copies together: a thousand streams with long prompts. */
export const copiesBytesMax = 256 * 1_024 ** 2;
/** What each takes of that besides its log, so that there are some twenty thousand at most. */
const streamBytes = 12 * 1_024;
/** An entry node speaks of each of its streams once a minute at least. ms */
export const silentMs = 300_000;
/** No stream that has ended may be asked for longer, whatever its entry node says. ms */
const lingerMsMax = 300_000;
/** How often to look for what is to be freed, ms. */
const sweepMs = 5_000;

/** One session of one entry node, and its short numbers. */
type Session = {
  readonly number: number;
  readonly idByNumber: Map<number, string>;
  /** Numbers of those that gave way lately: of these the whole log is not wanted again. */
  readonly displaced: Set<number>;
};

type Held = {
  fence: Fence;
  /** Who writes it, and under which number; null: nobody does, because it was fenced off or handed on. */
  writer: { readonly session: Session; readonly number: number } | null;
  /** In which its entry node wrote it; null: it was fenced off, and the next has not come yet. */
  session: number | null;
  /** Whose share it is. */
  readonly from: MemberId;
  readonly owner: string;
  readonly log: ByteWriter;
  freeAt: Instant;
  ended: boolean;
};

export type State = {
  readonly streams: Map<string, Held>;
  /** Of each entry node the one that is heard. */
  readonly sessions: Map<MemberId, Session>;
  readonly room: Room<MemberId>;
  /** What each entry node has of it, by key. */
  readonly keys: Map<MemberId, Shares<string>>;
  sweepAt: Instant;
};

export type Event =
  | { readonly type: 'batch'; readonly from: MemberId; readonly batch: Batch }
  /** Of a holder that leaves, or has the last copy. `here`: members that may write a log, as far as this node knows. */
  | {
      readonly type: 'handed';
      readonly from: MemberId;
      readonly logs: readonly HandedLog[];
      readonly here: ReadonlySet<MemberId>;
    }
  | { readonly type: 'fence'; readonly id: string; readonly fence: Fence }
  /** This node writes it itself from now on. */
  | { readonly type: 'written'; readonly id: string; readonly fence: Fence }
  | { readonly type: 'tick' };

/** Answers what was stepped. */
export type Effect = { readonly type: 'answer'; readonly verdicts: readonly Verdict[] };

type Step = readonly [State, readonly Effect[]];

export const init = (bytesMax: number): State => ({
  ...{ streams: new Map(), sessions: new Map(), room: newRoom<MemberId>(bytesMax), keys: new Map() },
  sweepAt: never,
});

export const wake: Event = { type: 'tick' };
export const deadline = ({ sweepAt }: State): Instant => sweepAt;

export function step(state: State, event: Event, now: Instant): Step {
  switch (event.type) {
    case 'batch':
      return [state, [{ type: 'answer', verdicts: onBatch(state, event.from, event.batch, now) }]];
    case 'handed':
      return [state, [{ type: 'answer', verdicts: onHanded(state, event, now) }]];
    case 'fence': {
      const held = state.streams.get(event.id);
      if (held === undefined || !isBelow(held.fence, event.fence)) return [state, []];
      held.fence = event.fence;
      held.session = null;
      forgetWriter(held);
      held.freeAt = after(now, silentMs);
      return [state, []];
    }
    case 'written': {
      const held = state.streams.get(event.id);
      // Kept, it would outlive the log, and look like one that somebody works at.
      if (held !== undefined && !isBelow(event.fence, held.fence)) free(state, event.id);
      return [state, []];
    }
    case 'tick':
      for (const [id, { freeAt }] of state.streams) if (freeAt <= now) free(state, id);
      for (const [from, { displaced }] of state.sessions) {
        displaced.clear();
        forgetSession(state, from);
      }
      state.sweepAt = state.streams.size === 0 ? never : after(now, sweepMs);
      return [state, []];
  }
}

/** What is held of a stream; null: nothing. */
export function heldOf({ streams }: State, id: string): HeldLog | null {
  const held = streams.get(id);
  return held === undefined ? null : { bytes: held.log.bytes(), fence: held.fence, ended: held.ended };
}

/** All of it, as it would be handed on. */
export const handedOf = ({ streams }: State, now: Instant): readonly HandedLog[] =>
  [...streams].map(([id, { fence, owner, session, ended, freeAt, log }]) => ({
    ...{ id, fence, owner, session, ended, leftMs: Math.max(0, freeAt - now), bytes: log.bytes() },
  }));

/** Of all that is held. */
export const heldBy = ({ streams, room }: State): { readonly streams: number; readonly bytes: number } => ({
  streams: streams.size,
  bytes: room.taken - streams.size * streamBytes,
});

function onBatch(state: State, from: MemberId, batch: Batch, now: Instant): readonly Verdict[] {
  let session = state.sessions.get(from);
  if (session?.number !== batch.session) {
    session = { number: batch.session, idByNumber: new Map(), displaced: new Set() };
    state.sessions.set(from, session);
  }
  const verdicts: Verdict[] = [];
  const refused = new Set<number>();
  for (const update of batch.updates) {
    const { number } = update;
    // What follows of a log that was not taken says nothing new: its first word is the one that counts.
    if (refused.has(number)) continue;
    const id = update.type === 'open' ? update.id : session.idByNumber.get(number);
    const why = id === undefined ? whyGone(session, number) : take(state, update, { id, from, session }, now);
    if (why === null) continue;
    verdicts.push({ number, why });
    refused.add(number);
  }
  forgetSession(state, from);
  state.sweepAt = state.streams.size === 0 ? never : earliest(state.sweepAt, after(now, sweepMs));
  return verdicts;
}

/** Nothing that is written here, or went on elsewhere, gives way to what comes by a third. */
function onHanded(
  state: State,
  { from, logs, here }: Extract<Event, { type: 'handed' }>,
  now: Instant,
): readonly Verdict[] {
  const verdicts = logs.flatMap((log, number) => {
    const why = takeHanded(state, log, { from, here }, now);
    return why === null ? [] : [{ number, why }];
  });
  if (state.streams.size > 0) state.sweepAt = earliest(state.sweepAt, after(now, sweepMs));
  return verdicts;
}

/** null: there is as much of it here. */
function takeHanded(
  state: State,
  { id, fence, owner, session, ended, leftMs, bytes }: HandedLog,
  { from, here }: { readonly from: MemberId; readonly here: ReadonlySet<MemberId> },
  now: Instant,
): Verdict['why'] | null {
  const held = state.streams.get(id);
  if (held !== undefined && isBelow(fence, held.fence)) return null;
  if (held !== undefined && !isBelow(held.fence, fence)) {
    if (held.log.length >= bytes.length) return null;
    // Who wrote it and is gone had not told us all; should it be there after all, it is asked for the whole log.
    if (held.writer !== null && here.has(fence.by)) return 'fenced';
  }
  if (!makeRoom(state, { from, owner, bytes: bytes.length + streamBytes }, held ?? null)) return 'full';
  free(state, id);
  const freeAt = after(now, Math.min(leftMs, silentMs));
  keep(state, id, { fence, writer: null, session, from, owner, log: copyOf(bytes), freeAt, ended });
  return null;
}

const whyGone = ({ displaced }: Session, number: number): Verdict['why'] =>
  displaced.has(number) ? 'full' : 'unknown';

type Source = { readonly from: MemberId; readonly session: Session };

/** null: taken. */
function take(
  state: State,
  update: Update,
  { id, from, session }: Source & { readonly id: string },
  now: Instant,
): Verdict['why'] | null {
  const held = state.streams.get(id);
  if (update.type === 'open') return open(state, update, { from, session, held }, now);
  if (held === undefined) return 'unknown';
  if (held.writer?.session !== session) return 'fenced';
  held.freeAt = after(now, silentMs);
  if (update.type === 'end') {
    held.ended = true;
    held.freeAt = after(now, Math.min(update.lingerMs, lingerMsMax));
    if (update.lingerMs === 0) free(state, id);
  }
  const why = update.type === 'grow' ? grow(state, held, update) : null;
  // Half a log is none.
  if (why === 'full') free(state, id);
  return why;
}

function open(
  state: State,
  { number, id, fence, bytes, owner }: Extract<Update, { type: 'open' }>,
  { from, session, held }: Source & { readonly held: Held | undefined },
  now: Instant,
): Verdict['why'] | null {
  if (held !== undefined && !yieldsTo(completeness(held), fence)) return 'fenced';
  free(state, id);
  if (!makeRoom(state, { from, owner, bytes: bytes.length + streamBytes }, null)) return 'full';
  const about = { fence, writer: { session, number }, session: session.number, from, owner };
  keep(state, id, { ...about, log: copyOf(bytes), freeAt: after(now, silentMs), ended: false });
  session.idByNumber.set(number, id);
  return null;
}

function keep(state: State, id: string, held: Held): void {
  const { from, owner, log } = held;
  state.streams.set(id, held);
  charge(state, { from, owner, bytes: log.length + streamBytes });
}

const copyOf = (bytes: Uint8Array): ByteWriter => new ByteWriter(bytes.length + 256).raw(bytes);

/** Who was fenced off has not completed what the next one writes. */
const completeness = ({
  fence,
  ended,
  session,
}: Held): { readonly fence: Fence; readonly ended: boolean } => ({
  fence,
  ended: ended && session !== null,
});

/** What came before is passed over, and a gap is not bridged. */
function grow(
  state: State,
  held: Held,
  { offset, bytes }: Extract<Update, { type: 'grow' }>,
): Verdict['why'] | null {
  const known = held.log.length - offset;
  if (known < 0) return 'unknown';
  if (known >= bytes.length) return null;
  const { from, owner } = held;
  const wanted = { from, owner, bytes: bytes.length - known };
  if (!makeRoom(state, wanted, held)) return 'full';
  held.log.raw(bytes.subarray(known));
  charge(state, wanted);
  return null;
}

type Wanted = { readonly from: MemberId; readonly owner: string; readonly bytes: number };

function charge({ room, keys }: State, { from, owner, bytes }: Wanted): void {
  put(room, from, bytes);
  const its = keys.get(from) ?? newShares<string>();
  keys.set(from, its);
  put(its, owner, bytes);
}

/** Whoever has most gives way until there is room. False: that is the one that asks. `grown`: what is to grow; null: a new one. */
function makeRoom(state: State, wanted: Wanted, grown: Held | null): boolean {
  const { room } = state;
  while (room.taken + wanted.bytes > room.max) {
    const id = nextToGo(state, wanted, grown);
    if (id === null) return false;
    const writer = state.streams.get(id)?.writer;
    free(state, id);
    writer?.session.displaced.add(writer.number);
  }
  return true;
}

/** Of who has most: what ended first, then the largest, but of who asks only what has ended. null: there is none. */
function nextToGo({ streams, room, keys }: State, wanted: Wanted, grown: Held | null): string | null {
  const amount = wanted.bytes;
  const from = most(room, { owner: wanted.from, amount });
  const its = from === undefined ? undefined : keys.get(from);
  if (its === undefined) return null;
  const owner = most(its, from === wanted.from ? { owner: wanted.owner, amount } : null);
  let largest: { readonly id: string; readonly length: number } | null = null;
  for (const [id, held] of streams) {
    if (held === grown || held.from !== from || held.owner !== owner) continue;
    if (held.ended) return id;
    const { length } = held.log;
    if (largest === null || length > largest.length) largest = { id, length };
  }
  return from === wanted.from && owner === wanted.owner ? null : (largest?.id ?? null);
}

function free(state: State, id: string): void {
  const held = state.streams.get(id);
  if (held === undefined) return;
  const { from, owner } = held;
  const bytes = held.log.length + streamBytes;
  const its = state.keys.get(from);
  assert(its !== undefined, 'who has logs here has a share');
  giveBack(state.room, from, bytes);
  giveBack(its, owner, bytes);
  if (its.taken === 0) state.keys.delete(from);
  state.streams.delete(id);
  forgetWriter(held);
}

function forgetWriter(held: Held): void {
  held.writer?.session.idByNumber.delete(held.writer.number);
  held.writer = null;
}

/** One that has numbers for nothing is as good as a new one, and entry nodes come and go for weeks. */
function forgetSession({ sessions }: State, from: MemberId): void {
  if (sessions.get(from)?.idByNumber.size === 0) sessions.delete(from);
}
