import type { MemberId } from '../std/member-id.ts';
import { meshMax } from '../std/mesh.ts';
import { draw, type Rng } from '../std/random.ts';
import { after, instant, never, type Instant } from '../std/time.ts';
import { fullBucket, type TokenBucket } from '../std/token-bucket.ts';
import type { Effect } from './events.ts';
import type { Watch } from './ladder.ts';
import type { Endpoint } from './health.ts';
import { emptyRings, insert, observersOf, type Rings } from './rings.ts';
import type { Reunion, Rumour } from './rumours.ts';
import { isLiving, newMember, type Member } from './member.ts';

const beatMs = 540;
export const upkeepMs = 1_000;
/** Of dials, and of probes besides. */
const effortsMax = { perSecond: 20, burst: 20 };

export type Options = {
  readonly selfId: MemberId;
  readonly peerId: string;
  readonly address: Endpoint;
  readonly zone: string;
  /** False for an operator. */
  readonly voter: boolean;
  readonly incarnation: number;
  /** Our votes are numbered from here. */
  readonly sequence: number;
  /** What the wall clock is ahead of our own. */
  readonly epochOffsetMs: number;
};

export type State = {
  /** Ourselves: in the rings, and in none of the maps. */
  readonly self: Member;
  /** The incarnation that this life began with, as others are to tell it from earlier ones. */
  life: number;
  sequence: number;
  /** What our stamps exceed our instants by, ms. */
  readonly stampOffsetMs: number;
  readonly members: Map<MemberId, Member>;
  readonly memberByPeerId: Map<string, Member>;
  readonly rings: Rings<Member>;
  /** Grows with each change of the rings, or of who lives in them. */
  ringsVersion: number;
  /** Voters in the rings that are not dead and have not left, ourselves among them. */
  living: number;
  /** Members with a connection, the oldest first. */
  readonly links: Set<Member>;
  readonly watches: Set<Watch>;
  /** Members with votes on them. */
  readonly polled: Set<Member>;
  readonly suspects: Set<Member>;
  readonly dead: Set<Member>;
  /** Members to dial, the longest waiting first. */
  readonly dials: Set<Member>;
  readonly dialBudget: TokenBucket;
  readonly probeBudget: TokenBucket;
  /** Of all probes, so that a late answer is known as late. */
  round: number;
  /** Peer ids that want our beats; copied on change, because it travels in effects. */
  watchers: readonly string[];
  subjects: readonly Member[];
  observers: readonly Member[];
  /** With whom we want a connection. */
  wanted: ReadonlySet<Member>;
  /** Connections beyond the rings' own, drawn. */
  readonly extras: Set<Member>;
  readonly rumours: Map<MemberId, Rumour>;
  /** Of those who speak to us, in the life that they live. */
  readonly contested: Map<MemberId, Rumour>;
  readonly accusers: Map<MemberId, Instant>;
  /** Members that were dead or silent for us and spoke, by their incarnation then. */
  readonly reunions: Map<Member, Reunion>;
  refutedAt: Instant;
  /** Between refutations for having met others again, ms. */
  metGapMs: number;
  /** When the last connection went, or we began; null: there is one, or nobody to connect to. */
  aloneSince: Instant | null;
  isolatedAt: Instant;
  /** The rings or who lives in them changed: at this time neighbours are named anew. */
  arrangeAt: Instant;
  /** When they last were. */
  arrangedAt: Instant;
  /** Of our own clock at the beats. */
  readonly beatPhaseMs: number;
  beatAt: Instant;
  greetAt: Instant;
  pollAt: Instant;
  dialAt: Instant;
  /** No dial before it of a living member that was lost. */
  gentleAt: Instant;
  upkeepAt: Instant;
  /** The next dial of one of the dead that is nobody's duty. */
  visitAt: Instant;
  /** What waited in our own buffers while we stood still is not news: until then votes are not counted. */
  deafUntil: Instant;
  /** When we last stood still, and went on. */
  stalledAt: Instant;
  wakeAt: Instant;
  /** So many of those whom we hear have to speak before `wakeAt`, or it is for them. */
  awaited: number;
  rng: Rng;
};

export function init(
  { incarnation, sequence, epochOffsetMs, ...binding }: Options,
  rng: Rng,
  now: Instant,
): State {
  const { selfId: id, ...rest } = binding;
  const self = newMember({ id, ...rest }, now);
  Object.assign(self, { health: 'alive', why: 'self', incarnation });
  const rings = emptyRings<Member>();
  if (self.voter) insert(rings, self);
  const beatPhaseMs = -epochOffsetMs % beatMs;
  const beatAt = nextBeat(beatPhaseMs, now);
  const [phaseMs, next] = draw(rng, upkeepMs);
  return {
    self,
    life: incarnation,
    sequence,
    stampOffsetMs: sequence - now,
    members: new Map(),
    memberByPeerId: new Map(),
    rings,
    ringsVersion: 0,
    living: self.voter ? 1 : 0,
    links: new Set(),
    watches: new Set(),
    polled: new Set(),
    suspects: new Set(),
    dead: new Set(),
    dials: new Set(),
    dialBudget: fullBucket(effortsMax, now),
    probeBudget: fullBucket(effortsMax, now),
    round: 0,
    watchers: [],
    subjects: [],
    observers: [],
    wanted: new Set(),
    extras: new Set(),
    rumours: new Map(),
    contested: new Map(),
    accusers: new Map(),
    reunions: new Map(),
    refutedAt: instant(-Infinity),
    metGapMs: 0,
    aloneSince: null,
    isolatedAt: instant(-Infinity),
    arrangeAt: never,
    arrangedAt: instant(-Infinity),
    beatPhaseMs,
    beatAt,
    greetAt: after(now, phaseMs),
    pollAt: never,
    dialAt: never,
    gentleAt: now,
    upkeepAt: after(now, phaseMs),
    visitAt: after(now, phaseMs),
    deafUntil: now,
    stalledAt: now,
    wakeAt: instant(Math.min(beatAt, now + phaseMs)),
    awaited: 0,
    rng: next,
  };
}

/**
 * Beats go at the same moments of the wall clock everywhere: who hears seven members wakes up once for all of them, which
 * is half of what they cost. Where clocks differ, nothing else does.
 */
export const nextBeat = (phaseMs: number, now: Instant): Instant =>
  instant(Math.ceil((now + beatMs / 2 - phaseMs) / beatMs) * beatMs + phaseMs);

/** The next tick must come by `at`: it may come earlier, and finds for itself what is due. */
export function rouse(state: State, at: Instant): void {
  if (at < state.wakeAt) state.wakeAt = at;
}

/** Changes that come together are arranged together. */
const arrangeMs = 10;
const birthsMs = 2_000;

/** Who lives in the rings changed. */
export const rearrange = (state: State, now: Instant): void => arrangeBy(state, after(now, arrangeMs));

/**
 * Somebody new sits in the rings. Where members are many it waits for others, because nodes that start together would
 * else have all neighbours named anew for each of them.
 */
export function welcome(state: State, now: Instant): void {
  const soonest = after(now, arrangeMs);
  const together = after(state.arrangedAt, birthsMs);
  arrangeBy(state, isMesh(state) || together < soonest ? soonest : together);
}

function arrangeBy(state: State, at: Instant): void {
  state.ringsVersion++;
  if (state.arrangeAt <= at) return;
  state.arrangeAt = at;
  rouse(state, at);
}

/** Who observes this member: asked with each vote on it, and the same as long as the rings are. */
export function observersIn(state: State, member: Member): readonly Member[] {
  if (member.observed?.rings !== state.ringsVersion) {
    member.observed = { by: observersOf(state.rings, member, isLiving), rings: state.ringsVersion };
  }
  return member.observed.by;
}

/** Who tell, of all who observe it, that a member is slow. */
export const tellersOf = (state: State, member: Member): readonly Member[] =>
  observersIn(state, member).slice(0, 2);

export const isMesh = (state: State): boolean => state.living <= meshMax;

/** Whoever is gone counts: of a cluster that a cut has halved the other half may come back. */
export const areFew = ({ members }: State): boolean => members.size < meshMax;

export const stampAt = ({ stampOffsetMs }: State, now: Instant): number => Math.floor(now + stampOffsetMs);

export function castVote(
  state: State,
  subject: Member,
  evidence: 'refused' | 'timeout' | 'slow' | 'alive',
  now: Instant,
): Extract<Effect, { type: 'vote' }> {
  state.sequence = Math.max(state.sequence + 1, stampAt(state, now));
  const { life, sequence } = state;
  const vote = { subject: subject.id, incarnation: subject.incarnation, evidence, life, sequence };
  return { type: 'vote', vote, wide: !isMesh(state) };
}
