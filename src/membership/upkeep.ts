/** What is looked after once a second, whatever happened in it. */
import { after, type Instant } from '../std/time.ts';
import { greet } from './beats.ts';
import { trim, visit } from './dialling.ts';
import type { Effect } from './events.ts';
import { tend } from './rumours.ts';
import { rearrange, upkeepMs, type State } from './state.ts';
import { part, recount } from './verdict.ts';

/** A connection that carries nothing for so long is half open, unless its process is slow: then it will carry again. */
const hangUpMs = 30_000;
/** Nobody at all is connected: our addresses are old, or we are cut off. */
const aloneMs = 3_000;
const isolatedGapMs = 30_000;

export function upkeep(state: State, now: Instant, effects: Effect[]): void {
  state.upkeepAt = after(now, upkeepMs);
  if (state.polled.size > 0) recount(state, now, effects);
  for (const member of state.suspects) {
    const isSlow = member.watch?.finding === 'slow' || member.why === 'votes';
    if (member.connected && !isSlow && now >= after(member.since, hangUpMs)) part(member, effects);
  }
  if (now >= state.greetAt) greet(state, now, effects);
  trim(state, effects);
  visit(state, now);
  tend(state, now, effects);
  keepCompany(state, now, effects);
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
