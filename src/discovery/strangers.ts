/**
 * Peer ids that no instance is known to hold, and that wait for a look. Who stands at the door has proven its key and
 * holds a connection open, and everyone pays for its own. Who was only heard of may be made up, by one member as many as
 * it likes: such ones have a quarter of the places, and make room for those at the door.
 */
import { after, never, type Instant } from '../std/time.ts';
import type { Effect } from './events.ts';
import type { Kinds } from './plan.ts';

/** `isHere`: it stands at the door. */
type Stranger = { readonly at: Instant; readonly isHere: boolean };

/** The oldest first. */
export type Strangers = Map<string, Stranger>;

/** Waiting at once; more are turned away. */
const strangersMax = 64;
const heardOfMax = strangersMax / 4;
/** A handshake has given up by then. */
const strangerMs = 10_000;

/** Who is turned away: nobody (null), the comer itself, or one who was only heard of and makes room. */
export function enqueue(strangers: Strangers, peerId: string, comer: Stranger): string | null {
  const known = strangers.get(peerId);
  if (known !== undefined && (known.isHere || !comer.isHere)) return null;
  // Heard of before it came: it stands at the door from now on.
  strangers.delete(peerId);
  const heardOf = heardOfAmong(strangers);
  const isFull = strangers.size >= strangersMax;
  const isCrowded = !comer.isHere && heardOf.count >= heardOfMax;
  const victim = isFull && comer.isHere ? heardOf.oldest : undefined;
  if (isCrowded || (isFull && victim === undefined)) return peerId;
  if (victim !== undefined) strangers.delete(victim);
  strangers.set(peerId, comer);
  return victim ?? null;
}

/** Takes out those who came by then. */
export const takeUntil = (strangers: Strangers, by: Instant): Iterable<[string, Stranger]> =>
  takeWhile(strangers, (at) => at <= by);

/** Takes out those who have waited for too long. */
export const takeExpired = (strangers: Strangers, now: Instant): Iterable<[string, Stranger]> =>
  takeWhile(strangers, (at) => after(at, strangerMs) <= now);

/** In one pass without a list: in a cold start every node hears of every other so. */
function heardOfAmong(strangers: Strangers): { readonly count: number; readonly oldest: string | undefined } {
  let count = 0;
  let oldest: string | undefined;
  for (const [peerId, { isHere }] of strangers) {
    if (isHere) continue;
    count++;
    oldest ??= peerId;
  }
  return { count, oldest };
}

/** Turns them away; of which kinds they were. */
export function deny(strangers: Iterable<[string, Stranger]>, effects: Effect[]): Kinds {
  const denied = [...strangers];
  for (const [peerId] of denied) effects.push({ type: 'settled', peerId, admitted: false });
  return kindsOf(denied.map(([, stranger]) => stranger));
}

/** Whether any stand at the door, and whether any were only heard of. */
export function kindsOf(strangers: Iterable<Stranger>): Kinds {
  const kinds = { here: false, heardOf: false };
  for (const { isHere } of strangers) {
    if (isHere) kinds.here = true;
    else kinds.heardOf = true;
    if (kinds.here && kinds.heardOf) break;
  }
  return kinds;
}

/** When the oldest has waited for too long. */
export function expiryOf(strangers: Strangers): Instant {
  for (const { at } of strangers.values()) return after(at, strangerMs);
  return never;
}

function* takeWhile(strangers: Strangers, isDue: (at: Instant) => boolean): Iterable<[string, Stranger]> {
  for (const [peerId, stranger] of strangers) {
    if (!isDue(stranger.at)) return;
    strangers.delete(peerId);
    yield [peerId, stranger];
  }
}
