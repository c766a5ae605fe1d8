import type { MemberId } from '../std/member-id.ts';

/**
 * How many of `candidates` come before `self` for this duty (rendezvous hashing: Thaler and Ravishankar, 1998), so that
 * every duty has an order of its own, and one that leaves changes nobody else's. `self` need not be among them.
 */
export function rankOf(duty: string, self: MemberId, candidates: Iterable<MemberId>): number {
  const own = weight(duty, self);
  let before = 0;
  for (const id of candidates) {
    const other = weight(duty, id);
    if (id !== self && (other > own || (other === own && id < self))) before += 1;
  }
  return before;
}

/** FNV-1a over both names, and the finish of murmur3, without which similar names stay neighbours. */
function weight(duty: string, id: MemberId): number {
  let hash = 0x811c9dc5;
  for (const char of `${duty}\0${id}`) hash = Math.imul(hash ^ char.codePointAt(0)!, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
