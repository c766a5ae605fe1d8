/**
 * What we say to those who want nothing but to hear us, so that every connection carries a word each way now and then:
 * our stamps are read by it, and one of which the other end is gone shows it. TCP would not for a quarter of an hour,
 * and where somebody else has the address by now, the kernel there answers every probe.
 */
import { after, type Instant } from '../std/time.ts';
import type { Effect } from './events.ts';
import type { Member } from './member.ts';
import { isMesh, stampAt, type State } from './state.ts';
import { judge, part } from './verdict.ts';

/** About 400 B/s to 49 others. */
const greetMs = 10_000;
/** Two greetings, and what holds up a third. */
const quietMs = 25_000;

export const beatTo = (state: State, peerIds: readonly string[], now: Instant): Effect => ({
  type: 'beat',
  peerIds,
  stamp: stampAt(state, now),
});

/** Beats to those to whom we say nothing else, and hangs up where nothing comes back. */
export function greet(state: State, now: Instant, effects: Effect[]): void {
  state.greetAt = after(now, greetMs);
  const watchers = new Set(state.watchers);
  const peerIds: string[] = [];
  for (const member of state.links) {
    const { parting, peerId } = member;
    if (parting) continue;
    if (isQuiet(member, state, now)) close(state, member, now, effects);
    else if (!watchers.has(peerId)) peerIds.push(peerId);
  }
  if (peerIds.length > 0) effects.push(beatTo(state, peerIds, now));
}

/**
 * Whom we observe the ladder asks, and a slow one, of whom its observers tell, keeps its connection. While we stood
 * still we heard nobody.
 */
const isQuiet = ({ health, watch, heardAt }: Member, { stalledAt }: State, now: Instant): boolean =>
  health === 'alive' && watch === null && now >= after(heardAt, quietMs) && now >= after(stalledAt, quietMs);

function close(state: State, member: Member, now: Instant, effects: Effect[]): void {
  if (isMesh(state) || !member.voter) member.doubt ??= 'closed';
  part(member, effects);
  judge(state, member, now, effects);
}
