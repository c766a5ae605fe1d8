/**
 * Anti-entropy: two nodes that may know different things find out what, and fetch it. Nothing depends on gossip.
 *
 *     us                                  peer
 *      | hashes of 64 buckets  ----------> |   nothing comes back when all are equal
 *      | <---- its entries of those that differ
 *      | our entries of the same --------> |
 *      | <---- want / records / want / records ----> |      each side asks for what is newer at the other
 *
 * It begins when the beats of a peer have shown another view for 400 ms, at a new connection (the lower peer id begins)
 * and every 5 s with one random peer. Where members are many, their changes never cease while a cluster starts: then
 * views that move are left to gossip, and of many new connections only the first is compared. Entries are taken only for buckets that were asked for, records are asked for 64
 * at a time and of one peer each, so a digest that lies costs its reader a bounded detour and nothing else.
 *
 * After Demers et al., "Epidemic Algorithms for Replicated Database Maintenance" (PODC 1987), section 1.3: checksums
 * first, then what differs.
 */
import type { MemberId } from '../std/member-id.ts';
import { draw } from '../std/random.ts';
import { after, never, type Instant } from '../std/time.ts';
import { take, type Limit } from './allowance.ts';
import { add, addEvery, remove } from './bucket-set.ts';
import type { Effect, Entry, RegistryMessage } from './events.ts';
import { hear } from './merge.ts';
import { sealOwn } from './own.ts';
import { outranks } from './record.ts';
import type { Signed } from './sealed.ts';
import { isMesh, isNews, lifeOf, pauseMs, type Member, type Peer, type State } from './state.ts';
import { bucketCount, bucketHashes, bucketOf, sameHash, type ViewHash } from './view-hash.ts';

/** What gossip has on its way arrives within this; comparing earlier would fetch it twice. */
const standingMs = 400;
/** Two views that stay different without anything to fetch (who is dead, say) are compared ever less often. */
const pauseMaxMs = 16_000;
/** Where members are many: between any two comparisons that beats begin, while nobody's view is ours. */
const paceMaxMs = 8_000;
/** Where all are connected, all beats differ at once while something spreads, and one comparison brings what another would. */
const meshPaceMs = 250;
/** A little less than the pause, so that a peer's clock may run faster than ours. */
const answerMs = 900;
const randomMs = 5_000;
/** Each of many is chosen by others as often as it chooses. */
const randomAmongManyMs = 15_000;
/** Nobody else is asked for a record while a peer has this long to send it. */
const askedMs = 1_000;
const askedMax = 2_000;
export const wantMax = 64;
/** Wanted records of one peer: one of each member that fits into a registry. */
const queueMax = 1_000;
/** Ids in a digest that discovery does not know: as many as may wait for it. */
const unknownMax = 64;
/** By then a record has come to everybody, and a new connection has brought all that the other end knew. */
const settledMs = 10_000;
/** Characters of one message's JSON, below the 64 kB of a frame. */
const messageMax = 48_000;
/** A whole cell at once, for a peer that has just started; then what a busy cluster changes. Records. */
const serveLimit: Limit = { perSecond: 200, burst: 2_000 };

const nothing: readonly Effect[] = [];

/** Once for each beat: constant time, and nothing is allocated while the views agree. */
export function compare(state: State, peerId: string, theirs: ViewHash, now: Instant): readonly Effect[] {
  const peer = state.peers.get(peerId);
  if (peer === undefined) return nothing;
  const ours = state.view.total;
  if (sameHash(theirs, ours)) {
    peer.differsSince = never;
    state.differing.delete(peerId);
    state.paceMs = pauseMs;
    return nothing;
  }
  const isMany = !isMesh(state);
  if (peer.differsSince === never || (isMany && peer.differsFrom !== ours)) {
    state.differing.add(peerId);
    peer.differsSince = now;
    peer.differsFrom = ours;
  }
  if (now < after(peer.differsSince, standingMs) || now < peer.nextSyncAt) return nothing;
  if (!mayBegin(state, isMany, now)) return nothing;
  const { compared } = peer;
  const again = compared !== null && sameHash(compared.ours, ours) && sameHash(compared.theirs, theirs);
  peer.fruitless = again ? peer.fruitless + 1 : 0;
  peer.compared = { ours, theirs };
  return begin(state, peerId, peer, now);
}

/** As long as no view is like ours, the cluster changes faster than comparing can follow. */
function mayBegin(state: State, isMany: boolean, now: Instant): boolean {
  if (now < state.mayBeginAt) return false;
  if (!isMany) {
    state.mayBeginAt = after(now, meshPaceMs);
    return true;
  }
  state.mayBeginAt = after(now, state.paceMs);
  state.paceMs = Math.min(2 * state.paceMs, paceMaxMs);
  return true;
}

export function begin(state: State, peerId: string, peer: Peer, now: Instant): readonly Effect[] {
  peer.nextSyncAt = after(now, Math.min(pauseMs * 2 ** peer.fruitless, pauseMaxMs));
  addEvery(peer.awaited);
  return [send(peerId, { type: 'hashes', buckets: bucketHashes(state.view) })];
}

export function beginWithAnyone(state: State, now: Instant): readonly Effect[] {
  const peerIds = [...state.peers.keys()];
  const periodMs = isMesh(state) ? randomMs : randomAmongManyMs;
  // Spread over a fifth of the period, so that nodes that started together do not stay together.
  const [jitter, rng] = draw(state.rng, periodMs / 5);
  const [index, next] = draw(rng, Math.max(1, peerIds.length));
  state.rng = next;
  state.syncAt = peerIds.length === 0 ? never : after(now, periodMs - jitter);
  const peerId = peerIds[index];
  const peer = peerId === undefined ? undefined : state.peers.get(peerId);
  return peerId === undefined || peer === undefined || now < peer.nextSyncAt
    ? []
    : begin(state, peerId, peer, now);
}

/** What a connected peer said on its direct stream, and is no record of its own accord. */
export function converse(
  state: State,
  peerId: string,
  message: Exclude<RegistryMessage, { type: 'record' }>,
  now: Instant,
): readonly Effect[] {
  const peer = state.peers.get(peerId);
  if (peer === undefined) return [];
  switch (message.type) {
    case 'hashes':
      return onHashes(state, [peerId, peer], message.buckets, now);
    case 'entries':
      return onEntries(state, [peerId, peer], message, now);
    case 'want':
      return onWant(state, [peerId, peer], message.ids, now);
    case 'records':
      return [
        ...message.records.flatMap((signed) => hear(state, signed, peerId, now)),
        ...askNext(state, [peerId, peer], now),
      ];
  }
}

type Named = readonly [peerId: string, peer: Peer];

function onHashes(
  state: State,
  [peerId, peer]: Named,
  theirs: readonly ViewHash[],
  now: Instant,
): readonly Effect[] {
  if (now < peer.answersAt || theirs.length !== bucketCount) return [];
  peer.answersAt = after(now, answerMs);
  // One comparison serves both sides.
  if (peer.nextSyncAt < after(now, pauseMs)) peer.nextSyncAt = after(now, pauseMs);
  const ours = bucketHashes(state.view);
  const differing: number[] = [];
  for (let bucket = 0; bucket < bucketCount; bucket++)
    if (!sameHash(theirs[bucket]!, ours[bucket]!)) differing.push(bucket);
  for (const bucket of differing) add(peer.echoed, bucket);
  return tellEntries(state, peerId, differing, false);
}

function onEntries(
  state: State,
  [peerId, peer]: Named,
  message: Extract<RegistryMessage, { type: 'entries' }>,
  now: Instant,
): readonly Effect[] {
  const owed = message.reply ? peer.echoed : peer.awaited;
  const buckets = new Set(message.buckets.filter((bucket) => remove(owed, bucket)));
  if (buckets.size === 0) return [];
  const by = state.idByPeerId.get(peerId);
  const effects: Effect[] = [];
  let unknown = 0;
  for (const entry of message.entries) {
    const member = state.members.get(entry.id);
    if (!buckets.has(member?.bucket ?? bucketOf(entry.id))) continue;
    if (by !== undefined && entry.dead) effects.push(...rumour(state, by, entry));
    if (member === undefined && entry.id !== state.own.id && ++unknown > unknownMax) continue;
    if (peer.queue.length < queueMax && isWanted(state, member, entry)) peer.queue.push(entry);
  }
  if (by !== undefined && now >= after(peer.metAt, settledMs))
    effects.push(...absences(state, by, { buckets, told: message.entries }, now));
  if (!message.reply) effects.push(...tellEntries(state, peerId, [...buckets], true));
  return [...effects, ...askNext(state, [peerId, peer], now)];
}

function rumour(state: State, by: MemberId, { id, incarnation }: Entry): readonly Effect[] {
  if (id === state.own.id) return [{ type: 'accused', by, incarnation }];
  const member = state.members.get(id);
  return member === undefined || member.dead || id === by
    ? []
    : [{ type: 'rumoured', by, id, incarnation, says: 'dead' }];
}

/** Whom it has forgotten, or never met, though we both had the time to hear of it: it holds that one for no more. */
function absences(
  state: State,
  by: MemberId,
  { buckets, told }: { readonly buckets: ReadonlySet<number>; readonly told: readonly Entry[] },
  now: Instant,
): readonly Effect[] {
  const ids = new Set(told.map(({ id }) => id));
  const lacking = [...buckets].flatMap((bucket) => state.buckets[bucket]!.filter(({ id }) => !ids.has(id)));
  return lacking.flatMap(({ id, held, dead }): readonly Effect[] => {
    const isOld = held !== null && now >= after(held.at, settledMs);
    if (!isOld || dead || id === by) return [];
    const { incarnation } = held.signed.record;
    return [{ type: 'rumoured', by, id, incarnation, says: 'nothing' }];
  });
}

/** Whole buckets a message, as many as fit. */
function tellEntries(
  state: State,
  peerId: string,
  buckets: readonly number[],
  reply: boolean,
): readonly Effect[] {
  const effects: Effect[] = [];
  let told: number[] = [];
  let entries: Entry[] = [];
  let size = 0;
  for (const bucket of buckets) {
    const some = entriesOf(state, bucket);
    const more = some.reduce((sum, { id }) => sum + id.length + 48, 0);
    if (told.length > 0 && size + more > messageMax) {
      effects.push(send(peerId, { type: 'entries', buckets: told, entries, reply }));
      [told, entries, size] = [[], [], 0];
    }
    told.push(bucket);
    entries.push(...some);
    size += more;
  }
  if (told.length > 0) effects.push(send(peerId, { type: 'entries', buckets: told, entries, reply }));
  return effects;
}

function entriesOf(state: State, bucket: number): readonly Entry[] {
  const { own, buckets } = state;
  const entries = bucketOf(own.id) === bucket ? [entryOf(own, false)] : [];
  for (const { held, dead } of buckets[bucket]!)
    if (held !== null) entries.push(entryOf(held.signed.record, dead));
  return entries;
}

const entryOf = (version: Omit<Entry, 'dead'>, dead: boolean): Entry => ({
  id: version.id,
  incarnation: version.incarnation,
  sequence: version.sequence,
  dead,
});

function isWanted(state: State, member: Member | undefined, entry: Entry): boolean {
  if (entry.id === state.own.id) return outranks(entry, state.own);
  if (member !== undefined) return isNews(state, entry.id, member, entry);
  return ![...state.pending.values()].some(
    ({ signed: { record } }) => record.id === entry.id && !outranks(entry, record),
  );
}

/**
 * Asks for the next few, once the last few have come: a slow stream is never handed more than a message or two. Lives are
 * asked for apart: those of two keys of one instance are two records, and the one that many have must not hide the other.
 */
function askNext(state: State, [peerId, peer]: Named, now: Instant): readonly Effect[] {
  const { asked } = state;
  const ids: MemberId[] = [];
  let size = 0;
  for (let entry = peer.queue.pop(); entry !== undefined; entry = peer.queue.pop()) {
    const life = lifeOf(entry);
    if ((asked.get(life) ?? now) > now || !isWanted(state, state.members.get(entry.id), entry)) continue;
    if (asked.size >= askedMax) forgetAsked(asked, now);
    if (asked.size >= askedMax) break;
    asked.set(life, after(now, askedMs));
    // A control character is six in JSON. The id that goes over is short, as all are: the edge takes no long ones.
    size += entry.id.length * 6 + 3;
    if (ids.push(entry.id) === wantMax || size > messageMax) break;
  }
  return ids.length === 0 ? [] : [send(peerId, { type: 'want', ids })];
}

function forgetAsked(asked: Map<string, Instant>, now: Instant): void {
  for (const [life, until] of asked) if (until <= now) asked.delete(life);
}

function onWant(
  state: State,
  [peerId, peer]: Named,
  ids: readonly MemberId[],
  now: Instant,
): readonly Effect[] {
  const records = [...new Set(ids.slice(0, wantMax))].flatMap((id): readonly Signed[] => {
    if (id === state.own.id) return [sealOwn(state, now).sealed];
    const held = state.members.get(id)?.held ?? null;
    return held === null ? [] : [held.signed];
  });
  if (!take(peer.served, serveLimit, Math.max(1, records.length), now)) return [];
  return batches(records).map((batch) => send(peerId, { type: 'records', records: batch }));
}

/** At least one batch, since even `none of these` lets the peer go on. */
function batches(records: readonly Signed[]): readonly (readonly Signed[])[] {
  const done: Signed[][] = [[]];
  let size = 0;
  for (const signed of records) {
    // A character of well-formed text is three bytes of UTF-8 at most, and an escaped quote is two.
    const more = signed.text.length * 3 + 256;
    if (size > 0 && size + more > messageMax) {
      done.push([]);
      size = 0;
    }
    done.at(-1)!.push(signed);
    size += more;
  }
  return done;
}

const send = (peerId: string, message: RegistryMessage): Effect => ({ type: 'send', peerId, message });
