/**
 * From votes and own doubts to a member's health.
 *
 *   unknown ──its record, its word──► alive ◄──────── its next word; all votes over ────── suspect
 *      │                               │ ▲                                                  ▲ │
 *      │                               │ └─ word, connection, record of higher incarnation ─┼─┼─► dead
 *      │                               └────────── a vote, our own doubt ───────────────────┘ │     ▲
 *      └──────────────────────────────────── fatal votes ─────────────────────────────────────┴─────┘
 *   any ──its record says left──► left ──record of a higher incarnation──► alive
 *
 * `suspect` is cheap (a router avoids it) and so is cast quickly; `dead` needs the kernels of other machines. While a
 * member speaks to us on a standing connection, nobody else's word counts.
 */
import { after, instant, type Instant } from '../std/time.ts';
import type { MemberId } from '../std/member-id.ts';
import {
  cast,
  disprove,
  isFatal,
  isHard,
  newPoll,
  nextExpiry,
  purge,
  saysSlow,
  tally,
  type Tally,
} from './ballots.ts';
import type { Effect, MemberFact, Vote } from './events.ts';
import type { Health } from './health.ts';
import { observersIn, rearrange, rouse, tellersOf, type State } from './state.ts';
import { freshMs, isFresh, isLiving, type Member } from './member.ts';
import { isNews, nothingHeard } from './replays.ts';
import { lagAfter, saidAt } from './stamps.ts';

/**
 * A voter that was suspect itself a moment ago may have been cut off, and what arrives may have waited in buffers since
 * then. What its kernel refused stays true.
 */
const settleMs = 1_000;

/** The dead are first asked again whether they live after so long: sooner, and 30 dials meet the votes on the way. */
const deadMs = 1_000;

/** True: the vote counts. */
export function admitVote(state: State, by: MemberId, vote: Vote, now: Instant): boolean {
  const voter = state.members.get(by);
  const subject = state.members.get(vote.subject);
  if (voter === undefined || !voter.voter || !isLiving(voter)) return false;
  if (subject === undefined || !isFirstHeard(voter, vote) || isStale(state, vote, now)) return false;
  if (!subject.voter || subject.health === 'left') return false;
  if (vote.incarnation !== subject.incarnation) return false;
  if ((vote.evidence === 'timeout' || vote.evidence === 'slow') && !isSettled(voter, now)) return false;
  const rank = observersIn(state, subject).indexOf(voter);
  if (rank < 0 || (vote.evidence === 'slow' && rank > 1)) return false;
  voter.lag = lagAfter(voter.lag, vote.sequence, now);
  const castAt = saidAt(voter.lag, vote.sequence, now);
  return count(state, subject, { by, vote, castAt }, now);
}

/** What lay in our buffers while we stood still may have been taken back since, but not what takes back. */
const isStale = ({ deafUntil }: State, { evidence }: Vote, now: Instant): boolean =>
  now < deafUntil && evidence !== 'alive';

/**
 * True for one of the newest life of its voter that is no replay. A new life has a clock of its own: what stamps told of
 * the way is measured anew, unless they came by a connection, which ends with a life.
 */
function isFirstHeard(voter: Member, vote: Vote): boolean {
  const life = voter.heardVotes?.life ?? 0;
  if (vote.life < life) return false;
  if (vote.life > life && !voter.connected) voter.lag = null;
  if (voter.heardVotes === null || vote.life > life) voter.heardVotes = nothingHeard(vote.life);
  return isNews(voter.heardVotes, vote);
}

/** Our own vote, or an admitted one. */
export function count(
  state: State,
  subject: Member,
  { by, ...ballot }: { readonly by: MemberId; readonly vote: Vote; readonly castAt: Instant },
  now: Instant,
): boolean {
  const { incarnation } = ballot.vote;
  if (subject.poll?.incarnation !== incarnation) subject.poll = newPoll(incarnation);
  state.polled.add(subject);
  return cast(subject.poll, by, ballot, now);
}

/** What the votes on a member come to now. */
function tallyOf(state: State, member: Member, now: Instant): Tally & { readonly observers: number } {
  if (member.poll === null) return { refused: 0, timeout: 0, slow: 0, observers: 0 };
  const observers = observersIn(state, member);
  const counted = tally(member.poll, (by) => observers.some(({ id }) => id === by), now);
  return { ...counted, observers: observers.length };
}

/** Brings a member's health up to what is known; to be called after anything of that changed. */
export function judge(state: State, member: Member, now: Instant, effects: Effect[]): void {
  if (!isLiving(member)) return;
  const votes = tallyOf(state, member, now);
  const isOverruled = isFresh(member, now);
  const voices = votes.refused + votes.timeout + votes.slow;
  if (voices > 0) schedule(state, member, now, isOverruled);
  if (!isOverruled && isFatal(votes, votes.observers))
    return turn(state, member, ['dead', 'votes'], now, effects);
  const why = member.doubt ?? (voices > 0 && !isOverruled ? 'votes' : null);
  if (why !== null && member.health === 'alive') turn(state, member, ['suspect', why], now, effects);
  if (why === null && member.health === 'suspect') turn(state, member, ['alive', 'cleared'], now, effects);
}

function schedule(state: State, member: Member, now: Instant, isOverruled: boolean): void {
  if (member.poll === null) return;
  let next: number = nextExpiry(member.poll, now);
  if (isOverruled) next = Math.min(next, member.heardAt + freshMs + 1);
  state.pollAt = instant(Math.min(state.pollAt, next));
  rouse(state, state.pollAt);
}

/** After some votes are over. */
export function recount(state: State, now: Instant, effects: Effect[]): void {
  state.pollAt = instant(Infinity);
  for (const member of state.polled) {
    if (member.poll === null || purge(member.poll, now)) {
      member.poll = null;
      state.polled.delete(member);
    }
    judge(state, member, now, effects);
  }
}

/** A word of the member itself, or proof of a new life: it is alive, whatever was said. */
export function revive(state: State, member: Member, why: string, now: Instant, effects: Effect[]): void {
  member.doubt = null;
  state.rumours.get(member.id)?.holders.clear();
  if (member.poll !== null) disprove(member.poll, 'word', now);
  if (member.health === 'unknown' || member.health === 'dead') {
    turn(state, member, ['alive', why], now, effects);
  } else if (member.health === 'suspect') {
    judge(state, member, now, effects);
  }
}

const factOf: Readonly<Record<Exclude<Health, 'unknown'>, MemberFact['fact']>> = {
  alive: 'member.recovered',
  suspect: 'member.suspected',
  dead: 'member.died',
  left: 'member.left',
};

/** A dead one is hung up at once: the buffers of its connection hold what was said before it was cut off. */
export function turn(
  state: State,
  member: Member,
  [health, why]: readonly [Health, string],
  now: Instant,
  effects: Effect[],
): void {
  if (member.health === health) return;
  const wasLiving = isLiving(member);
  const isFirst = member.health === 'unknown' || member.health === 'left';
  member.health = health;
  member.why = why;
  member.since = now;
  state.suspects.delete(member);
  state.dead.delete(member);
  if (health === 'suspect') state.suspects.add(member);
  if (health === 'dead') state.dead.add(member);
  if (wasLiving !== isLiving(member) && member.voter) {
    state.living += wasLiving ? -1 : 1;
    rearrange(state, now);
  }
  effects.push({ type: 'judged', id: member.id, health });
  if (health !== 'unknown') {
    const fact = health === 'alive' && isFirst ? 'member.joined' : factOf[health];
    effects.push({ type: 'fact', fact: { fact, member: member.id, why } });
  }
  if (health !== 'dead') return;
  part(member, effects);
  if (member.link !== null) member.link.nextAt = instant(Math.max(member.link.nextAt, now + deadMs));
}

/** Closes our side of a connection, and with it whatever its buffers still hold. */
export function part(member: Member, effects: Effect[]): void {
  if (!member.connected || member.parting) return;
  member.parting = true;
  effects.push({ type: 'hang-up', peerId: member.peerId });
}

/** Whether another one that tells of a slow one says so of this one; also where there is nobody to say it. */
export function isSlowForOthers(state: State, member: Member, now: Instant): boolean {
  const tellers = tellersOf(state, member).filter((one) => one !== state.self && one.health === 'alive');
  const { poll } = member;
  return tellers.length === 0 || (poll !== null && tellers.some(({ id }) => saysSlow(poll, id, now)));
}

function isSettled(voter: Member, now: Instant): boolean {
  return voter.health === 'unknown' || (voter.health === 'alive' && now >= after(voter.since, settleMs));
}

/** Whether a vote is one that our own finding could be joined to. */
export const isAccusing = (vote: Vote): boolean => isHard(vote.evidence);
