/** What is looked after once a second, whatever happened in it. */
import { after, type Instant } from '../std/time.ts';
import { greet } from './beats.ts';
import { trim, visit } from './dialling.ts';
import type { Effect } from './events.ts';
import type { Member } from './member.ts';
import { tend } from './rumours.ts';
import { rearrange, upkeepMs, type State } from './state.ts';
import { isSlowForOthers, part, recount } from './verdict.ts';

/** A connection that carries nothing for so long is half open, unless its process is slow: then it will carry again. */
const hangUpMs = 30_000;
/**
 * A process that is slow for us alone is well, and its connection stands still: after losses TCP repeats itself at pauses
 * that double up to two minutes, and waits on when nothing is lost any more. By then those who tell of a slow one have told,
 * however often they did before (`slowGap` in ladder.ts).
 */
const standstillMs = 20_000;
/** Nobody at all is connected: our addresses are old, or we are cut off. */
const aloneMs = 3_000;
const isolatedGapMs = 30_000;

export function upkeep(state: State, now: Instant, effects: Effect[]): void {
  state.upkeepAt = after(now, upkeepMs);
  if (state.polled.size > 0) recount(state, now, effects);
  for (const member of state.suspects) if (carriesNothing(state, member, now)) part(member, effects);
  if (now >= state.greetAt) greet(state, now, effects);
  trim(state, effects);
  visit(state, now);
  tend(state, now, effects);
  keepCompany(state, now, effects);
}

function carriesNothing(state: State, member: Member, now: Instant): boolean {
  const { connected, watch, why, since, heardAt } = member;
  if (!connected) return false;
  if (watch?.finding !== 'slow') return why !== 'votes' && now >= after(since, hangUpMs);
  const isLong = now >= after(heardAt, standstillMs) && now >= after(state.stalledAt, standstillMs);
  return isLong && !isSlowForOthers(state, member, now);
}

function keepCompany(state: State, now: Instant, effects: Effect[]): void {
  const isAlone = state.links.size === 0 && state.members.size > 0;
  if (!isAlone) {
    state.aloneSince = null;
    return;
  }
  state.aloneSince ??= now;
  if (now < after(state.aloneSince, aloneMs) || now < after(state.isolatedAt, isolatedGapMs)) return;
  state.isolatedAt = now;
  state.extras.clear();
  rearrange(state, now);
  effects.push({ type: 'isolated' });
  effects.push({ type: 'fact', fact: { fact: 'membership.isolated', members: state.members.size } });
}
