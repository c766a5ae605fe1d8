/**
 * How an observer comes to an opinion of a subject: a ladder of evidence, each rung asked for only when the one before
 * fails.
 *
 *   beats ──640 ms of silence──► probe: two SYNs to its libp2p port ──┬─ refused ──► its process is gone
 *     └──────connection closed──►                                     ├─ silent ───► its host, or the way to it
 *                                                                     └─ answered ─► it is there and does not run: slow
 *
 * A kernel completes handshakes for a process that is stopped or starved, and refuses them for one that is gone, within
 * a millisecond: that is what lets death be told from slowness in less time than any sum of missed beats could.
 * The probe goes to the libp2p port, and to no port of its own: the connection that stood has proven that this one is
 * open, while a port that a security group forgot would turn every frozen process into a dead host.
 *
 * Probes of a slow one double their distance up to 512 s: each leaves a finished handshake in the accept queue of a
 * process that takes none out (1,024 fit), and a full queue looks like a dead host.
 *
 * Votes of one kind double their distance too, 1 s (slow: 2 s) to 32 s, until a minute passes without one: a subject
 * that comes and goes must not become a storm. To join another observer's a vote may come early, every 4 s: votes
 * live for two seconds, and observers that each repeat theirs in a rhythm of their own would never meet.
 */
import { after, instant, never, type Instant } from '../std/time.ts';
import { take } from '../std/token-bucket.ts';
import { hardMs, isHard, isRefusedByOthers, refusalsToDie, slowMs } from './ballots.ts';
import type { Effect, Evidence, Outcome } from './events.ts';
import { castVote, observersIn, rouse, tellersOf, type State } from './state.ts';
import type { Member } from './member.ts';
import { count, judge } from './verdict.ts';

/** A beat that is 100 ms late. It costs a probe; nobody else hears of it before `slowTellMs`. */
export const silenceMs = 640;
const patienceMsMax = 2_000;
/** A kernel of the same region answers within some milliseconds, however busy its machine is. */
const probeMs = 150;
/** A probe whose answer has not come by then is lost, and asked again. */
const answerMs = 1_000;
const budgetPauseMs = 50;
/** An answer while no connection stands: the redial that is under way decides. */
const redialMs = 500;
/**
 * A kernel closes what a killed process had open one by one, its connections before the socket that it listened on: for
 * some milliseconds the port of a process that is gone still answers. So who answers after its connection closed is asked
 * twice whether its answer stands for so long.
 */
const closingMs = [20, 60];
/** Who came back by its record is connected again within this, and until then only silent by not being asked. */
const reconnectMs = 10_000;
const hardGap = { baseMs: 1_000, capMs: 32_000 };
/** From one vote that joined another observer's to the next such one. */
const joinGapMs = 4_000;
const slowGap = { baseMs: 2_000, capMs: 16_000 };
/** A beat that TCP had to repeat comes within 400 ms; before that nobody else need hear of it. */
const slowTellMs = 965;
const slowProbeMsMax = 512_000;
const calmMs = 64_000;
/** So many without an answer are a vote of a subject's only observer. */
const loneProbes = 2;
/** By then the word of the first two has come, on a machine that is not starved. */
const turnMs = 30;
const perRankMs = 15;
/** Some observers repeat their votes on a dead subject so many times for those who missed the first. */
const lingerVotes = 2;
/** As many as make a death. */
const reminders = 5;
const reminderMs = 500;

type Damp = { gapMs: number; at: Instant };

export type Watch = {
  readonly member: Member;
  /**
   * observing: it is ours to watch. lingering: it was, and is dead. doubting: it is not, but a request to it failed or
   * others hold it dead, and we want to know for ourselves; that gives no vote.
   */
  role: 'observing' | 'lingering' | 'doubting';
  /** Of the probe under way; 0: there is none. */
  round: number;
  askedAt: Instant;
  finding: Evidence | null;
  foundAt: Instant;
  /** Probes in a row that were not followed by a word, and of those the last that had no answer. */
  probes: number;
  hardProbes: number;
  /** Of the first probes since its connection closed, how many were answered; Infinity: that is not why we ask. */
  closing: number;
  /** Whether any probe since its last word had no answer: it or we were cut off. */
  wasSilent: boolean;
  /** The next probe, unless a word comes first. */
  probeAt: Instant;
  /** The next repetition of a `slow` vote, which needs no probe. */
  tellAt: Instant;
  told: { readonly evidence: Evidence; readonly at: Instant } | null;
  readonly damps: Record<Evidence, Damp>;
  /** A probe is under way, or to be told of, by which a vote joins another observer's; and when the next one may. */
  isJoining: boolean;
  joinAt: Instant;
  votesLeft: number;
};

export function newWatch(member: Member, role: Watch['role'], probeAt: Instant): Watch {
  const damp = (): Damp => ({ gapMs: 0, at: instant(-Infinity) });
  return {
    member,
    role,
    round: 0,
    askedAt: probeAt,
    finding: null,
    foundAt: probeAt,
    probes: 0,
    hardProbes: 0,
    closing: Infinity,
    wasSilent: false,
    probeAt,
    tellAt: never,
    told: null,
    damps: { refused: damp(), timeout: damp(), slow: damp() },
    isJoining: false,
    joinAt: probeAt,
    votesLeft: Infinity,
  };
}

/** When it next wants to be advanced. */
export function dueAt(watch: Watch): Instant {
  const { round, askedAt, member, probeAt, tellAt } = watch;
  if (round !== 0) return after(askedAt, answerMs);
  if (isHearing(watch)) return instant(Math.max(probeAt, member.heardAt + silenceMs));
  return instant(Math.min(probeAt, tellAt));
}

/** Its beats come: all that is waited for is the next one. */
export const isHearing = ({ round, finding, role, member }: Watch): boolean =>
  round === 0 && finding === null && member.connected && role === 'observing';

export function advance(state: State, watch: Watch, now: Instant, effects: Effect[]): void {
  if (now < dueAt(watch)) return;
  watch.round = 0;
  if (now >= watch.tellAt) tell(state, watch, now, effects);
  if (now >= watch.probeAt) probe(state, watch, now, effects);
}

/** Asks its kernel, now. */
function probe(state: State, watch: Watch, now: Instant, effects: Effect[]): void {
  const { member } = watch;
  if (!take(state.probeBudget, 1, now)) {
    watch.probeAt = after(now, budgetPauseMs);
    return;
  }
  watch.round = ++state.round;
  watch.askedAt = now;
  // It may have forgotten that we asked for beats, or never have heard it.
  if (watch.role === 'observing' && member.connected) effects.push(ask(watch, true));
  const { id, address } = member;
  const standMs = closingMs[watch.closing] ?? 0;
  effects.push({ type: 'probe', id, address, round: watch.round, ms: probeMs, standMs });
}

export const ask = ({ member }: Watch, on: boolean): Effect => ({ type: 'watch', peerId: member.peerId, on });

/** Something happened that a probe should explain: the connection closed, a request failed. */
export function hurry(state: State, watch: Watch, now: Instant, effects: Effect[]): void {
  if (watch.round !== 0) return;
  watch.probeAt = now;
  probe(state, watch, now, effects);
}

/** Takes in the answer to a probe; null when it is not the one we wait for. */
export function found(
  state: State,
  watch: Watch,
  { round, outcomes }: { readonly round: number; readonly outcomes: readonly Outcome[] },
  now: Instant,
): Evidence | null {
  if (watch.round !== round) return null;
  const { member } = watch;
  const finding = evidenceFrom(outcomes, member);
  const isClosing = finding === 'slow' && !member.connected && ++watch.closing < closingMs.length;
  watch.round = 0;
  watch.probes += isClosing ? 0 : 1;
  watch.hardProbes = isHard(finding) ? watch.hardProbes + 1 : 0;
  watch.wasSilent ||= finding === 'timeout';
  if (finding !== 'slow') watch.tellAt = never;
  watch.finding = finding;
  watch.foundAt = now;
  const doubled = hardGap.baseMs * 2 ** Math.min(watch.probes - 1, 20);
  const gapMs = Math.min(doubled, finding === 'slow' ? slowProbeMsMax : hardGap.capMs);
  const isAwaited = member.why === 'record' && now < after(member.since, reconnectMs);
  const isAskedAgain = isClosing || isUnproven(state, watch);
  const isRedialled = finding === 'slow' && !member.connected && (watch.probes === 1 || isAwaited);
  watch.probeAt = isAskedAgain ? now : after(now, isRedialled ? redialMs * watch.probes : gapMs);
  rouse(state, watch.probeAt);
  return isClosing || isRedialled ? null : finding;
}

/** The connection of a member that we observe closed, and not by us. */
export function closed(state: State, watch: Watch, now: Instant, effects: Effect[]): void {
  watch.closing = 0;
  hurry(state, watch, now, effects);
}

/** Tells everybody what we found, if it is ours to tell and we have not told it too often. */
export function tell(state: State, watch: Watch, now: Instant, effects: Effect[]): void {
  const { member, finding, role } = watch;
  watch.tellAt = never;
  if (finding === null || role === 'doubting' || !state.self.voter || isUnproven(state, watch)) return;
  // Whoever never let us in may not know us yet.
  if (finding === 'slow' && !(member.met && tellersOf(state, member).includes(state.self))) return;
  const isTold =
    finding !== 'refused' || (member.poll !== null && isRefusedByOthers(member.poll, state.self.id, now));
  if (member.health === 'dead' && isTold && !isReminder(state, member, now)) return void watch.votesLeft--;
  const saidAt = after(member.heardAt, slowTellMs);
  if (finding === 'slow' && now < saidAt) {
    watch.tellAt = saidAt;
    return rouse(state, saidAt);
  }
  if (finding === 'refused' && waitsItsTurn(state, watch, now, effects)) return;
  const damp = watch.damps[finding];
  const mayAt = after(damp.at, damp.gapMs);
  const isEarly = endJoining(watch, now) && isHard(finding);
  if (!isEarly && now < mayAt) {
    if (finding === 'slow') watch.tellAt = mayAt;
    return rouse(state, watch.tellAt);
  }
  if (!isEarly) {
    widen(damp, finding === 'slow' ? slowGap : hardGap, now);
    watch.joinAt = after(now, hardGap.baseMs);
  }
  damp.at = now;
  if (finding === 'slow') watch.tellAt = after(now, damp.gapMs);
  rouse(state, watch.tellAt);
  watch.told = { evidence: finding, at: now };
  watch.votesLeft--;
  publish(state, member, finding, now, effects);
}

/**
 * Two refusals are a death, and each word about it costs every member more than all of the probes: so the first two
 * observers speak at once, and the others only if that was not enough. What we found ourselves counts for us all the same.
 */
function waitsItsTurn(state: State, watch: Watch, now: Instant, effects: Effect[]): boolean {
  const { member, foundAt } = watch;
  const rank = observersIn(state, member).indexOf(state.self);
  const turnAt = rank < refusalsToDie ? foundAt : after(foundAt, turnMs + rank * perRankMs);
  if (now >= turnAt) return false;
  watch.tellAt = turnAt;
  rouse(state, turnAt);
  const { vote } = castVote(state, member, 'refused', now);
  count(state, member, { by: state.self.id, vote, castAt: now }, now);
  judge(state, member, now, effects);
  return true;
}

/** Another observer says what we found as well: said together it counts. */
export function join(state: State, watch: Watch, now: Instant, effects: Effect[]): void {
  const { finding, told, round, isJoining, joinAt } = watch;
  if (!isHard(finding) || isJoining || round !== 0 || told === null || now < joinAt) return;
  watch.isJoining = true;
  hurry(state, watch, now, effects);
}

/** Whether the probe that has ended was for the sake of joining. */
function endJoining(watch: Watch, now: Instant): boolean {
  if (!watch.isJoining) return false;
  watch.isJoining = false;
  watch.joinAt = after(now, joinGapMs);
  return true;
}

/** A word came: what we found is over, and what we told of it is taken back while it could still count. */
export function calm(state: State, watch: Watch, now: Instant, effects: Effect[]): void {
  const { told, member } = watch;
  watch.round = 0;
  watch.finding = null;
  watch.probes = 0;
  watch.hardProbes = 0;
  watch.closing = Infinity;
  watch.wasSilent = false;
  watch.probeAt = after(now, silenceMs);
  watch.tellAt = never;
  watch.told = null;
  endJoining(watch, now);
  if (told === null) return;
  const standsMs = told.evidence === 'slow' ? slowMs : hardMs;
  if (now < after(told.at, standsMs)) publish(state, member, 'alive', now, effects);
}

/**
 * After a stall of our own nobody else's silence means anything yet. Where we stand still, the others on the same machine
 * or after the same cut do too: so they get twice the time, unless they have had it.
 */
export function restart(watch: Watch, now: Instant): void {
  watch.round = 0;
  const patient = Math.min(now + 2 * silenceMs, watch.member.heardAt + patienceMsMax);
  watch.probeAt = instant(Math.max(watch.probeAt, now + silenceMs, patient));
}

export function linger(watch: Watch): void {
  watch.role = 'lingering';
  watch.votesLeft = lingerVotes;
}

function publish(
  state: State,
  member: Member,
  evidence: Evidence | 'alive',
  now: Instant,
  effects: Effect[],
): void {
  const effect = castVote(state, member, evidence, now);
  effects.push(effect);
  count(state, member, { by: state.self.id, vote: effect.vote, castAt: now }, now);
  judge(state, member, now, effects);
}

/**
 * Where nobody else observes, our vote is a death, and packets are lost: both SYNs of one probe often enough. Elsewhere other
 * observers' probes have to be without an answer as well.
 */
const isUnproven = (state: State, { member, finding, hardProbes }: Watch): boolean =>
  finding === 'timeout' && hardProbes < loneProbes && observersIn(state, member).length === 1;

/** Who learned of a death from others had nothing to add to it; some say it again for those who missed it. */
const isReminder = (state: State, member: Member, now: Instant): boolean =>
  now >= after(member.since, reminderMs) && observersIn(state, member).indexOf(state.self) < reminders;

function widen(damp: Damp, { baseMs, capMs }: { baseMs: number; capMs: number }, now: Instant): void {
  const isCalm = damp.gapMs === 0 || now - damp.at > calmMs;
  damp.gapMs = isCalm ? baseMs : Math.min(damp.gapMs * 2, capMs);
}

/**
 * One refusal is proof; one answer among silences is an answer. Where somebody else has proven to have its address, a kernel
 * that answers does so for that one, and nobody listens for the member. Of whom we have no record that one may be its next
 * life, of which others have none either: by the vote they could not tell which of the two is meant.
 */
function evidenceFrom(outcomes: readonly Outcome[], { doubt, incarnation }: Member): Evidence {
  if (outcomes.includes('refused')) return 'refused';
  if (!outcomes.includes('answered')) return 'timeout';
  return doubt === 'replaced' && incarnation > 0 ? 'refused' : 'slow';
}
