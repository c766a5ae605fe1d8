/**
 * The copies of other nodes' streams that this node holds, in memory only: a log grows as its entry node says, in
 * order, and is given to whoever goes on with the stream. It is freed when its entry node says so, or when nobody said
 * anything of it for some minutes: then its entry node is gone, and no client came back for it.
 *
 * What the bytes mean is nobody's business here.
 */
import { ByteWriter } from '../std/bytes.ts';
import type { MemberId } from '../std/member-id.ts';
import { after, earliest, never, type Instant } from '../std/time.ts';
import { isBelow, yieldsTo, type Fence } from './fence.ts';
import type { Batch, HeldLog, Update, Verdict } from './wire.ts';

/** Of all copies together: a thousand streams with long prompts. Beyond it newcomers are turned away. */
const bytesMax = 256 * 1_024 ** 2;
const streamsMax = 20_000;
/** An entry node speaks of each of its streams once a minute at least. ms */
export const silentMs = 300_000;
/** No stream that has ended may be asked for longer, whatever its entry node says. ms */
const lingerMsMax = 300_000;
/** How often to look for what is to be freed, ms. */
const sweepMs = 5_000;

/** One session of one entry node, and its short numbers. */
type Session = { readonly number: number; readonly idByNumber: Map<number, string> };

type Held = {
  fence: Fence;
  /** Who writes it, and under which number; null: it was fenced off, and the next has not come yet. */
  writer: { readonly session: Session; readonly number: number } | null;
  log: ByteWriter;
  freeAt: Instant;
  ended: boolean;
};

export type State = {
  readonly streams: Map<string, Held>;
  /** Of each entry node the one that is heard. */
  readonly sessions: Map<MemberId, Session>;
  bytes: number;
  sweepAt: Instant;
};

export type Event =
  | { readonly type: 'batch'; readonly from: MemberId; readonly batch: Batch }
  | { readonly type: 'fence'; readonly id: string; readonly fence: Fence }
  /** This node writes it itself from now on. */
  | { readonly type: 'written'; readonly id: string; readonly fence: Fence }
  | { readonly type: 'tick' };

/** Answers the batch that was stepped. */
export type Effect = { readonly type: 'answer'; readonly verdicts: readonly Verdict[] };

type Step = readonly [State, readonly Effect[]];

export const init = (): State => ({ streams: new Map(), sessions: new Map(), bytes: 0, sweepAt: never });

export const wake: Event = { type: 'tick' };
export const deadline = ({ sweepAt }: State): Instant => sweepAt;

export function step(state: State, event: Event, now: Instant): Step {
  switch (event.type) {
    case 'batch':
      return [state, [{ type: 'answer', verdicts: onBatch(state, event.from, event.batch, now) }]];
    case 'fence': {
      const held = state.streams.get(event.id);
      if (held === undefined || !isBelow(held.fence, event.fence)) return [state, []];
      held.fence = event.fence;
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
      for (const from of state.sessions.keys()) forgetSession(state, from);
      state.sweepAt = state.streams.size === 0 ? never : after(now, sweepMs);
      return [state, []];
  }
}

/** What is held of a stream; null: nothing. */
export function heldOf({ streams }: State, id: string): HeldLog | null {
  const held = streams.get(id);
  return held === undefined ? null : { bytes: held.log.bytes(), fence: held.fence, ended: held.ended };
}

function onBatch(state: State, from: MemberId, batch: Batch, now: Instant): readonly Verdict[] {
  let session = state.sessions.get(from);
  if (session?.number !== batch.session) {
    session = { number: batch.session, idByNumber: new Map() };
    state.sessions.set(from, session);
  }
  const verdicts: Verdict[] = [];
  const refused = new Set<number>();
  for (const update of batch.updates) {
    const { number } = update;
    // What follows of a log that was not taken says nothing new: its first word is the one that counts.
    if (refused.has(number)) continue;
    const id = update.type === 'open' ? update.id : session.idByNumber.get(number);
    const why = id === undefined ? 'unknown' : take(state, update, { id, session }, now);
    if (why === null) continue;
    verdicts.push({ number, why });
    refused.add(number);
  }
  forgetSession(state, from);
  state.sweepAt = state.streams.size === 0 ? never : earliest(state.sweepAt, after(now, sweepMs));
  return verdicts;
}

/** null: taken. */
function take(
  state: State,
  update: Update,
  { id, session }: { readonly id: string; readonly session: Session },
  now: Instant,
): Verdict['why'] | null {
  const held = state.streams.get(id);
  if (update.type === 'open') return open(state, update, { session, held }, now);
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
  { number, id, fence, bytes }: Extract<Update, { type: 'open' }>,
  { session, held }: { readonly session: Session; readonly held: Held | undefined },
  now: Instant,
): Verdict['why'] | null {
  if (held !== undefined && !yieldsTo(completeness(held), fence)) return 'fenced';
  free(state, id);
  if (!hasRoom(state, bytes.length, null)) return 'full';
  const log = new ByteWriter(bytes.length + 256).raw(bytes);
  const writer = { session, number };
  state.streams.set(id, { fence, writer, log, freeAt: after(now, silentMs), ended: false });
  session.idByNumber.set(number, id);
  state.bytes += bytes.length;
  return null;
}

/** Who was fenced off has not completed what the next one writes. */
const completeness = ({
  fence,
  ended,
  writer,
}: Held): { readonly fence: Fence; readonly ended: boolean } => ({
  fence,
  ended: ended && writer !== null,
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
  if (!hasRoom(state, bytes.length - known, held)) return 'full';
  held.log.raw(bytes.subarray(known));
  state.bytes += bytes.length - known;
  return null;
}

/** Streams that have ended make room, those that ended first before the others. `grown`: what is to grow; null: a new one. */
function hasRoom(state: State, bytes: number, grown: Held | null): boolean {
  const streams = grown === null ? 1 : 0;
  const fits = (): boolean => state.bytes + bytes <= bytesMax && state.streams.size + streams <= streamsMax;
  if (fits()) return true;
  for (const [id, held] of state.streams) {
    if (held.ended && held !== grown) free(state, id);
    if (fits()) return true;
  }
  return false;
}

function free(state: State, id: string): void {
  const held = state.streams.get(id);
  if (held === undefined) return;
  state.bytes -= held.log.length;
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
