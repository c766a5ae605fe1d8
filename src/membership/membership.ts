/**
 * Who is in the cluster, as one member sees it (SPEC.md).
 *
 *   unknown ──connected──► alive ──connection lost, silence, a failed request──► suspect ──refused twice──► dead
 *      │                     ▲ ▲                                                    │                        │
 *      │                     │ └──────────────── its next word, or connected ───────┘────────────────────────┘
 *      └──── tag or record says left ──► left ──record of a higher incarnation──► unknown
 *
 * The tags in EC2 are the out-of-band truth of who *may* be here; nothing that EC2 says or fails to say takes a
 * connected member away. Routing uses `alive` only, so `suspect` costs little and is cast quickly; `dead` needs the
 * kernel of the other machine to say that nobody listens there.
 */
import { unreachable } from '../std/assert.ts';
import { backoffMs } from '../std/backoff.ts';
import type { MemberId } from '../std/member-id.ts';
import { draw, type Rng } from '../std/random.ts';
import { after, instant, type Instant } from '../std/time.ts';
import { newMember, type Endpoint, type Health, type Member } from './member.ts';

/** More than a cell may have (500) twice over. */
const membersMax = 1_000;
/** More than twice the second in which every member says something on each direct stream; told within three seconds. */
const silenceMs = 2_500;
/** A silent connection is given up after this: a host that vanished never closes it, and the redial asks its kernel. */
const hangUpMs = 10_000;
/** A tick this late means that we stood still, not the others. */
const stallMs = 1_000;
const tickMs = 500;
const redial = { baseMs: 200, capMs: 10_000 };
const refusalsToDie = 2;
const absencesToForget = 3;
/** Tags are eventually consistent: only a tag read this long after a goodbye says that the instance is back. */
const tagsSettleMs = 10_000;
/** Between looks that strangers cause: the account's whole bucket is 20 calls a second. */
const lookGapMs = 1_000;

export type State = {
  readonly selfId: MemberId;
  readonly discoveryMs: number;
  readonly members: Map<MemberId, Member>;
  looking: boolean;
  nextLookAt: Instant;
  lastLookAt: Instant;
  tickedAt: Instant;
  rng: Rng;
};

export type Listed = {
  readonly id: MemberId;
  readonly peerId: string | null;
  readonly address: Endpoint | null;
  readonly zone: string;
  readonly left: boolean;
};

export type Event =
  | { readonly type: 'looked'; readonly listed: readonly Listed[] }
  | { readonly type: 'look-failed'; readonly why: string }
  | { readonly type: 'connected'; readonly peerId: string }
  | { readonly type: 'disconnected'; readonly peerId: string }
  | { readonly type: 'dial-failed'; readonly id: MemberId; readonly refused: boolean }
  /** Any word from it on a direct stream. */
  | { readonly type: 'heard'; readonly peerId: string }
  | {
      readonly type: 'recorded';
      readonly id: MemberId;
      readonly peerId: string;
      readonly incarnation: number;
      readonly left: boolean;
    }
  /** A request to it failed as requests to dead members do. */
  | { readonly type: 'suspected'; readonly id: MemberId }
  /** A peer id that no listed instance has wants to connect. */
  | { readonly type: 'stranger' }
  | { readonly type: 'tick' };

type MemberFact = {
  readonly fact:
    | 'member.joined'
    | 'member.suspected'
    | 'member.recovered'
    | 'member.died'
    | 'member.left'
    | 'member.forgotten';
  readonly member: MemberId;
};

export type Effect =
  /** Answer with `looked` or `look-failed`. */
  | { readonly type: 'look' }
  /** Answer with `connected` or `dial-failed`. */
  | { readonly type: 'dial'; readonly id: MemberId; readonly peerId: string; readonly address: Endpoint }
  | { readonly type: 'hang-up'; readonly peerId: string }
  | {
      readonly type: 'fact';
      readonly fact:
        | MemberFact
        | { readonly fact: 'discovery.failed'; readonly why: string }
        | { readonly fact: 'discovery.overfull'; readonly dropped: number };
    };

type Step = readonly [State, readonly Effect[]];

export const init = (
  options: { readonly selfId: MemberId; readonly discoveryMs: number },
  rng: Rng,
  now: Instant,
): State => ({
  ...options,
  members: new Map(),
  looking: false,
  nextLookAt: now,
  lastLookAt: instant(-Infinity),
  tickedAt: now,
  rng,
});

export function step(state: State, event: Event, now: Instant): Step {
  switch (event.type) {
    case 'looked':
      return onLooked(state, event.listed, now);
    case 'look-failed':
      state.looking = false;
      return [state, [{ type: 'fact', fact: { fact: 'discovery.failed', why: event.why } }]];
    case 'connected':
      return onConnected(state, event.peerId, now);
    case 'disconnected':
      return onDisconnected(state, event.peerId, now);
    case 'dial-failed':
      return onDialFailed(state, event, now);
    case 'heard':
      return onHeard(state, event.peerId, now);
    case 'recorded':
      return onRecorded(state, event, now);
    case 'suspected':
      return onSuspected(state, event.id, now);
    case 'stranger':
      return onStranger(state, now);
    case 'tick':
      return onTick(state, now);
    default:
      return unreachable(event);
  }
}

export const deadline = (state: State): Instant =>
  instant(Math.min(after(state.tickedAt, tickMs), state.looking ? Infinity : state.nextLookAt));

/** [M7] Whether a proven peer id belongs to a listed instance of the cluster that has not left. */
export const isAdmitted = (state: State, peerId: string): boolean => {
  const member = byPeerId(state, peerId);
  return member !== undefined && member.listed && member.health !== 'left';
};

export function byPeerId(state: State, peerId: string): Member | undefined {
  for (const member of state.members.values()) if (member.peerId === peerId) return member;
  return undefined;
}

function onLooked(state: State, listed: readonly Listed[], now: Instant): Step {
  state.looking = false;
  const effects: Effect[] = [];
  const seen = new Set<MemberId>();
  let dropped = 0;
  for (const one of listed) {
    if (one.id === state.selfId) continue;
    const full = state.members.size >= membersMax && !state.members.has(one.id);
    if (full) dropped++;
    else effects.push(...onListed(state, one, now));
    seen.add(one.id);
  }
  for (const member of state.members.values()) {
    if (!seen.has(member.id)) effects.push(...onAbsent(state, member));
  }
  if (dropped > 0) effects.push({ type: 'fact', fact: { fact: 'discovery.overfull', dropped } });
  return [state, [...effects, ...dials(state, now)]];
}

function onListed(state: State, listed: Listed, now: Instant): Effect[] {
  const member = state.members.get(listed.id) ?? newMember(listed.id, now);
  state.members.set(member.id, member);
  const replaced = listed.peerId !== null && member.peerId !== null && member.peerId !== listed.peerId;
  if (replaced) Object.assign(member, newMember(member.id, now));
  member.peerId = listed.peerId ?? member.peerId;
  member.address = listed.address ?? member.address;
  member.zone = listed.zone;
  member.absences = 0;
  member.listed = !listed.left;
  if (listed.left) return member.connected ? [] : turn(member, 'left', now);
  const back = member.health === 'left' && now - member.since > tagsSettleMs;
  return back ? turn(member, 'unknown', now) : [];
}

/** [M1] [M8] */
function onAbsent(state: State, member: Member): Effect[] {
  member.absences++;
  if (member.connected) return [];
  member.listed = false;
  if (member.absences < absencesToForget) return [];
  state.members.delete(member.id);
  return [{ type: 'fact', fact: { fact: 'member.forgotten', member: member.id } }];
}

function onConnected(state: State, peerId: string, now: Instant): Step {
  const member = byPeerId(state, peerId);
  if (member === undefined || member.health === 'left') return [state, [{ type: 'hang-up', peerId }]];
  Object.assign(member, { connected: true, dialing: false, failures: 0, refusals: 0, heardAt: now });
  return [state, turn(member, 'alive', now)];
}

/** [M2] The dial that follows at once tells a killed process (refused) from a lost connection. */
function onDisconnected(state: State, peerId: string, now: Instant): Step {
  const member = byPeerId(state, peerId);
  if (member === undefined) return [state, []];
  member.connected = false;
  member.nextDialAt = now;
  const effects = member.health === 'alive' ? turn(member, 'suspect', now) : [];
  return [state, [...effects, ...dials(state, now)]];
}

/** [M3] [M6] */
function onDialFailed(state: State, { id, refused }: { id: MemberId; refused: boolean }, now: Instant): Step {
  const member = state.members.get(id);
  if (member === undefined || !member.dialing) return [state, []];
  const [ms, rng] = backoffMs({ attempt: member.failures, ...redial }, state.rng);
  state.rng = rng;
  member.dialing = false;
  member.failures++;
  member.refusals = refused ? member.refusals + 1 : 0;
  const known = member.health === 'suspect' && member.refusals >= refusalsToDie;
  // The second look at a suspect must not wait: it is what tells dead from merely disconnected.
  member.nextDialAt = after(now, member.health === 'suspect' && !known ? Math.min(ms, redial.baseMs) : ms);
  return [state, known ? turn(member, 'dead', now) : []];
}

function onHeard(state: State, peerId: string, now: Instant): Step {
  const member = byPeerId(state, peerId);
  if (member === undefined || !member.connected) return [state, []];
  member.heardAt = now;
  return [state, member.health === 'suspect' ? turn(member, 'alive', now) : []];
}

/** [M5] */
function onRecorded(
  state: State,
  { id, peerId, incarnation, left }: { id: MemberId; peerId: string; incarnation: number; left: boolean },
  now: Instant,
): Step {
  const member = state.members.get(id);
  if (member === undefined || member.peerId !== peerId) return [state, []];
  if (member.incarnation !== null && incarnation < member.incarnation) return [state, []];
  const reborn = member.incarnation !== null && incarnation > member.incarnation;
  member.incarnation = incarnation;
  if (left) return [state, turn(member, 'left', now)];
  if (member.health !== 'left' || !reborn) return [state, []];
  return [state, turn(member, member.connected ? 'alive' : 'unknown', now)];
}

function onSuspected(state: State, id: MemberId, now: Instant): Step {
  const member = state.members.get(id);
  return [state, member?.health === 'alive' ? turn(member, 'suspect', now) : []];
}

/** [M7] */
function onStranger(state: State, now: Instant): Step {
  state.nextLookAt = instant(Math.min(state.nextLookAt, Math.max(now, after(state.lastLookAt, lookGapMs))));
  return [state, look(state, now)];
}

function onTick(state: State, now: Instant): Step {
  const stalled = now - state.tickedAt > tickMs + stallMs;
  state.tickedAt = now;
  const effects: Effect[] = [];
  for (const member of state.members.values()) {
    if (stalled) member.heardAt = now; // [M9]
    const silent = member.connected && now - member.heardAt > silenceMs;
    if (silent && member.health === 'alive') effects.push(...turn(member, 'suspect', now)); // [M4]
    const gone = member.connected && now - member.heardAt > hangUpMs;
    if (gone && member.peerId !== null) {
      member.heardAt = now;
      effects.push({ type: 'hang-up', peerId: member.peerId });
    }
  }
  return [state, [...effects, ...look(state, now), ...dials(state, now)]];
}

/**
 * The period is jittered by a tenth, so that nodes that booted together do not poll together for ever. Choosing the
 * few pollers of an epoch by rendezvous hash has its place here: whether it is our turn.
 */
function look(state: State, now: Instant): Effect[] {
  if (state.looking || now < state.nextLookAt) return [];
  const [jitterMs, rng] = draw(state.rng, Math.max(1, Math.floor(state.discoveryMs / 5)));
  state.rng = rng;
  state.looking = true;
  state.lastLookAt = now;
  state.nextLookAt = after(now, state.discoveryMs * 0.9 + jitterMs);
  return [{ type: 'look' }];
}

function dials(state: State, now: Instant): Effect[] {
  const effects: Effect[] = [];
  for (const member of state.members.values()) {
    const { id, peerId, address } = member;
    const wanted = member.listed && !member.connected && !member.dialing && member.health !== 'left';
    if (!wanted || peerId === null || address === null || now < member.nextDialAt) continue;
    member.dialing = true;
    effects.push({ type: 'dial', id, peerId, address });
  }
  return effects;
}

const factOf: Readonly<Record<Exclude<Health, 'unknown'>, MemberFact['fact']>> = {
  alive: 'member.recovered',
  suspect: 'member.suspected',
  dead: 'member.died',
  left: 'member.left',
};

function turn(member: Member, health: Health, now: Instant): Effect[] {
  if (member.health === health) return [];
  const first = member.health === 'unknown' || member.health === 'left';
  Object.assign(member, { health, since: now });
  if (health === 'unknown') return [];
  const fact = health === 'alive' && first ? 'member.joined' : factOf[health];
  return [{ type: 'fact', fact: { fact, member: member.id } }];
}
