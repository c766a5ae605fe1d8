/**
 * Which connections we keep, and how we come by them.
 *
 * Up to 50 living members everybody is connected with everybody. Beyond that a node keeps its neighbours in the rings
 * (at most 16) and eight drawn ones, and hangs up no connection that others made until there are too many.
 * The dead are redialled without end by those who would observe them, or by all in a mesh: that is how a partition
 * heals. Nobody is dialled because it says so itself.
 */
import { backoffMs } from '../std/backoff.ts';
import { draw } from '../std/random.ts';
import { after, instant, never, type Instant } from '../std/time.ts';
import { take } from '../std/token-bucket.ts';
import type { DialFailure, Effect } from './events.ts';
import { seatAt, seatCount } from './rings.ts';
import { areFew, isMesh, rouse, type State } from './state.ts';
import { isLiving, type Member } from './member.ts';
import { part } from './verdict.ts';

const extrasMax = 8;
/** Two neighbourhoods of rings, ours and the drawn ones of others, with room to spare. */
const linksMax = 64;
const redial = { baseMs: 200, capMs: 2_000 };
/**
 * One of the two ends is enough, the one with the lower id. When half of a cluster finds the other half again and both ends
 * dial, twice as many handshakes as are needed make all of them late.
 */
const yieldedRedial = { baseMs: 1_000, capMs: 10_000 };
/**
 * Of so few both ends dial: the one that could not tell a death from a cut may hold on to its connection, which the other
 * end has closed, and never dial.
 */
const yieldedMin = 4;
/** Who turned us away, or takes no connection out of its queue, is asked less often. */
const refusedRedial = { baseMs: 2_000, capMs: 30_000 };
const pauseMs = 50;
/** A thousand nodes give each of the dead at most a hundred of these a second, if there is but one. */
const visitMs = 10_000;
/** Both ends lose a connection at once; the one with the higher id lets the other dial first. */
const yieldMs = 300;
/** A process that ended is known to be dead by then, and nobody had to dial it. */
const lostMs = 300;
/**
 * A connection that ended before was brief. Two in a row are mishaps, but who cuts us again and again, for it speaks
 * another protocol than we do or holds us for a flood, is dialled less and less often. Once it can, it dials us itself.
 */
const briefMs = 10_000;
const briefFew = 2;
const briefRedial = { baseMs: 200, capMs: 30_000 };
/** So many in a row make suspect whom we would be connected with. */
const dialsInVain = 3;
/** The network gives up a dial long before that. */
const dialMsMax = 10_000;
/**
 * Of those who may be gone two are dialled at a time, unless they take longer than this. When half of a cluster finds the
 * other half again, all would be dialled at once, and as many handshakes starve each other until they fail. Where each of
 * the one half dials each of the other one, one at a time is enough for the first to be reached within some milliseconds.
 */
const turnMs = 500;
const turnsMax = 2;
/** Who stood still a moment ago has too little of its machine, and makes up for lost connections no faster than this. */
const shortOfBreathMs = 2_000;
const gentleMs = 1_500;
/**
 * Who was gone and is connected again knows who else is back, and its word is sooner there than any dial of ours. And a
 * dial that took long says that the machine is busy, most likely with other dials, so they get a part of its time only.
 */
const wordMs = 300;
const restFactor = 8;

/** `wary`: the dial under way is of who may be gone. */
export type Link = { failures: number; nextAt: Instant; dialledAt: Instant | null; wary: boolean };

/** Names the connections we want, after the rings were arranged. */
export function want(state: State, charges: readonly Member[], now: Instant): void {
  const wanted = wantedBy(state, charges);
  for (const member of state.wanted) {
    if (wanted.has(member)) continue;
    member.wanted = false;
    if (member.health !== 'dead') dismiss(state, member, now);
  }
  for (const member of wanted) {
    member.wanted = true;
    if (!member.connected) enlist(state, member, now);
  }
  state.wanted = wanted;
}

function wantedBy(state: State, charges: readonly Member[]): Set<Member> {
  if (isMesh(state)) {
    state.extras.clear();
    return new Set([...state.members.values()].filter(({ voter, health }) => voter && health !== 'left'));
  }
  drawExtras(state);
  return new Set([...state.subjects, ...state.observers, ...charges, ...state.extras]);
}

/** Those that cannot be had are drawn anew. */
function drawExtras(state: State): void {
  const count = seatCount(state.rings);
  for (const extra of state.extras) {
    if (!isLiving(extra) || (extra.link?.failures ?? 0) >= 3) state.extras.delete(extra);
  }
  for (let tries = 0; tries < 4 * extrasMax && state.extras.size < extrasMax; tries++) {
    const [pick, rng] = draw(state.rng, count);
    state.rng = rng;
    const one = seatAt(state.rings, pick);
    if (one !== undefined && one !== state.self && isLiving(one)) state.extras.add(one);
  }
}

/** Known by its record only, and whoever answers there is somebody else, or does not know us. */
export const isDialledInVain = (state: State, { voter, link }: Member): boolean =>
  isMesh(state) && voter && (link?.failures ?? 0) >= dialsInVain;

/** A single dial, which shows who is at its address, though we want no connection. */
export function call(state: State, member: Member, now: Instant): void {
  if (!member.connected) enlist(state, member, now);
}

/** Puts a member on the list of those to dial. */
function enlist(state: State, member: Member, nextAt: Instant): void {
  if (member.link !== null) return;
  member.link = { failures: 0, nextAt, dialledAt: null, wary: false };
  state.dials.add(member);
  scheduleDial(state, nextAt);
}

/** After a connection that we want closed. */
export function redialLost(state: State, member: Member, now: Instant): void {
  member.brief = now < after(member.connectedAt, briefMs) ? member.brief + 1 : 0;
  let ms = lostMs + (state.self.id < member.id ? 0 : yieldMs);
  if (member.brief > briefFew) {
    const [more, rng] = backoffMs({ attempt: member.brief - briefFew, ...briefRedial }, state.rng);
    state.rng = rng;
    ms += more;
  }
  enlist(state, member, after(now, ms));
}

export function dismiss(state: State, member: Member, now: Instant): void {
  if (member.link?.wary === true) scheduleDial(state, now);
  member.link = null;
  state.dials.delete(member);
}

/**
 * We are connected with it. If it may have been gone, the others of whom that holds are let be for a moment, where members
 * are so few that all are told by all. Beyond that each is told by few, and nobody's word is to wait.
 */
export function reached(state: State, member: Member, now: Instant): void {
  const { link } = member;
  member.connectedAt = now;
  if (areFew(state) && (link?.wary === true || member.health === 'dead')) {
    const tookMs = link?.dialledAt == null ? 0 : now - link.dialledAt;
    beGentle(state, Math.min(gentleMs, Math.max(wordMs, restFactor * tookMs)), now);
  }
  dismiss(state, member, now);
}

/**
 * It was dead, and its record says that it lives. Most likely it was cut off with others, whose records are on their way:
 * where members are few all come by word of mouth, for less than a dial each. What was dialled in vain while it was away
 * says nothing of it any more, but that it is to be knocked at first.
 */
export function returned(state: State, { link }: Member, now: Instant): void {
  if (!areFew(state)) return;
  if (link !== null) link.failures = Math.min(link.failures, 1);
  beGentle(state, wordMs, now);
}

/** Up to twice as long: whoever stood still when we did, on the same machine, say, would else dial when we do. */
function beGentle(state: State, ms: number, now: Instant): void {
  const [more, rng] = draw(state.rng, Math.ceil(ms));
  state.rng = rng;
  state.gentleAt = instant(Math.max(state.gentleAt, after(now, ms + more)));
}

/** Dials whoever is due; who was dialled goes to the end of the list. */
export function dial(state: State, now: Instant, effects: Effect[]): void {
  if (now < state.dialAt) return;
  state.dialAt = never;
  const turns = turnsUnderWay(state, now);
  for (const member of inTurn(state)) {
    const { link } = member;
    if (link === null) continue;
    const at = link.dialledAt === null ? link.nextAt : after(link.dialledAt, dialMsMax);
    if (now < at) {
      scheduleDial(state, at);
      continue;
    }
    const wary = isWary(member, link);
    const turnAt = wary ? turnOf(state, member, turns) : now;
    if (now < turnAt) {
      scheduleDial(state, turnAt);
      continue;
    }
    if (!take(state.dialBudget, 1, now)) return scheduleDial(state, after(now, pauseMs));
    if (wary) turns.push(after(now, turnMs));
    if (wary && now < after(state.stalledAt, shortOfBreathMs)) beGentle(state, gentleMs, now);
    Object.assign(link, { dialledAt: now, wary });
    state.dials.delete(member);
    state.dials.add(member);
    scheduleDial(state, after(now, dialMsMax));
    const { id, peerId, address } = member;
    effects.push({ type: 'dial', id, peerId, address, wary });
  }
}

/** Those whose beats we want, or who want ours, before those with whom we merely are to be connected. */
function inTurn({ dials, subjects, observers }: State): readonly Member[] {
  const neighbours = new Set([...subjects, ...observers]);
  const [first, second]: [Member[], Member[]] = [[], []];
  for (const member of dials) (neighbours.has(member) ? first : second).push(member);
  return [...first, ...second];
}

/** When each of those who may be gone has had its turn. Lets go of dials that the network seems to have forgotten. */
function turnsUnderWay(state: State, now: Instant): Instant[] {
  const turns: Instant[] = [];
  for (const { link } of state.dials) {
    if (link === null || link.dialledAt === null) continue;
    if (now >= after(link.dialledAt, dialMsMax)) link.dialledAt = null;
    else if (link.wary && now < after(link.dialledAt, turnMs)) turns.push(after(link.dialledAt, turnMs));
  }
  return turns;
}

/** Whoever is in doubt waits for a place among the two, and for no rest. Where members are few one place is its own. */
function turnOf(state: State, member: Member, turns: readonly Instant[]): Instant {
  const isFew = areFew(state);
  const isInDoubt = member.health === 'suspect';
  const places = isFew && !isInDoubt ? turnsMax - 1 : turnsMax;
  const free = turns.length < places ? 0 : Math.min(...turns);
  const isLetBe = !isInDoubt && (isLiving(member) || isFew);
  return instant(isLetBe ? Math.max(free, state.gentleAt) : free);
}

const isWary = ({ health }: Member, { failures }: Link): boolean =>
  failures > 0 || health === 'suspect' || health === 'dead';

/** False: it is none of ours, or nobody was waiting for it. */
export function dialFailed(state: State, member: Member, why: DialFailure, now: Instant): boolean {
  const { link } = member;
  if (link === null || link.dialledAt === null) return false;
  if (!member.wanted) {
    dismiss(state, member, now);
    return false;
  }
  const isStuck = why === 'silent' && member.watch?.finding === 'slow';
  const pace = why === 'denied' || why === 'replaced' || isStuck ? refusedRedial : paceOf(state, member);
  const [ms, rng] = backoffMs({ attempt: link.failures, ...pace }, state.rng);
  state.rng = rng;
  // From dial to dial: one that was silent has waited already, and a partition heals in the meantime.
  link.nextAt = instant(Math.max(after(now, ms / 10), after(link.dialledAt, ms)));
  link.dialledAt = null;
  link.failures++;
  scheduleDial(state, link.wary ? now : link.nextAt);
  return true;
}

const paceOf = ({ self, dials }: State, { id }: Member): typeof redial =>
  self.id < id || dials.size <= yieldedMin ? redial : yieldedRedial;

/**
 * One of the dead that others are to redial: whoever holds dead alone what is alive would never hear of it, because
 * those who could tell are not connected with it. A single dial; if it fails, the next is another's.
 */
export function visit(state: State, now: Instant): void {
  if (now < state.visitAt || isMesh(state)) return;
  state.visitAt = after(now, visitMs);
  const next = [...state.dead].find(({ link, connected, wanted }) => link === null && !connected && !wanted);
  if (next === undefined) return;
  state.dead.delete(next);
  state.dead.add(next);
  enlist(state, next, now);
}

/**
 * Hangs up what we do not need, while there is more than we can keep. The oldest go first: what the other side needs it
 * makes anew, and then it is the turn of others.
 */
export function trim(state: State, effects: Effect[]): void {
  let beyond = state.links.size - linksMax;
  if (beyond <= 0 || isMesh(state)) return;
  for (const member of state.links) {
    if (beyond === 0) return;
    if (member.wanted || member.parting) continue;
    part(member, effects);
    beyond--;
  }
}

function scheduleDial(state: State, at: Instant): void {
  state.dialAt = instant(Math.min(state.dialAt, at));
  rouse(state, state.dialAt);
}
