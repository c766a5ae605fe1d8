import { fnv1a, scramble } from '../std/hash.ts';
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

const weight = (duty: string, id: MemberId): number => scramble(fnv1a(`${duty}\0${id}`));
