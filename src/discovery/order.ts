/**
 * Which of two keys of one instance is the newer one. A tag does not tell when it was written, so all that is known is
 * which look showed which key. EC2 is eventually consistent: a look shows the tags as of some moment in the minute before
 * it. What was shown a minute before a look is therefore older than what that look shows, and among looks that are nearer
 * to each other nobody can tell.
 *
 * All times are of our own clock. Of somebody else's look we know how long ago it was by that one's word, and of two that
 * agree the older look counts; word that was long under way makes a look seem newer than it was, by seconds of that minute.
 */
import { instant, type Instant } from '../std/time.ts';

/** A look that showed something: ours, or that of two others that say the same. */
export type Sight = {
  readonly at: Instant;
  readonly isOwn: boolean;
  /** The holder of the key that it showed stands at our door, or nobody is where that of the other one should be. */
  readonly isHere: boolean;
};

/** The looks that showed the key that an instance has. */
export type Shown = {
  /** The first of them. */
  shownFrom: Instant;
  /** The last. */
  shownAt: Instant;
  /** The last of our own; `longAgo`: none was. */
  ownLookAt: Instant;
  /** The key before this one. */
  former: { readonly peerId: string; readonly shownFrom: Instant } | null;
};

/** EC2 is eventually consistent: "a couple of seconds ... up to five minutes", in practice well below this. */
const tagsSettleMs = 60_000;
export const longAgo = instant(-Infinity);

const precedes = (one: Instant, other: Instant): boolean => other - one >= tagsSettleMs;

/**
 * What membership says of who holds a key. `hasEnded`: it was alive, and is no more. `connected`: with us; who is alive
 * and is not, is so by the word of others, who may have heard of its next key by now.
 */
type Life = { readonly live: boolean; readonly hasEnded: boolean; readonly connected: boolean };

/**
 * [Y9] Whether a key that a look showed takes the place of the one that is bound. Where the order is not known, a key that
 * our own looks showed gives way to what others saw only once its holder has ended or the other one is here, and that of
 * one who is alive and connected to nothing. The others stay rivals, until their address tells (`isRival`). What others saw
 * before our own look, in the minute before it, may be the newer of the two as well: it counts for who is here, and so has
 * proven its key, while nobody is alive by the one that our look showed.
 */
export function supersedes(
  peerId: string,
  { at, isOwn, isHere }: Sight,
  { shownFrom, ownLookAt, former, live, hasEnded, connected }: Shown & Life,
): boolean {
  const isEarlier = !isOwn && at <= ownLookAt;
  if (isEarlier && (live || !isHere || precedes(at, ownLookAt))) return false;
  if (precedes(shownFrom, at)) return true;
  const isOurs = ownLookAt !== longAgo;
  const isFormer = former?.peerId === peerId && precedes(former.shownFrom, shownFrom);
  if (isFormer && (isOurs || !isOwn)) return false;
  return live ? isHere && !connected : isOwn || !isOurs || hasEnded || isHere;
}

/** [Y9] Whether it would, if the holder of the other one were no more. */
export const isRival = (peerId: string, sight: Sight, holder: Shown & Life): boolean =>
  supersedes(peerId, sight, { ...holder, live: false, hasEnded: true });

export const firstShown = ({ at, isOwn }: Sight): Shown => ({
  ...{ shownFrom: at, shownAt: at },
  ...{ ownLookAt: isOwn ? at : longAgo, former: null },
});

/** The same key once more. */
export function showAgain(shown: Shown, { at, isOwn }: Sight): void {
  if (at > shown.shownAt) shown.shownAt = at;
  if (isOwn) shown.ownLookAt = at;
}

export function replaceKey(shown: Shown, peerId: string, sight: Sight): void {
  const former = { peerId, shownFrom: shown.shownFrom };
  Object.assign(shown, firstShown(sight), { former });
}
