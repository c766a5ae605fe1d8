/**
 * Our own record: changed here and nowhere else. The first change is told at once, those within 100 ms after it together,
 * to the connected peers directly and, where not all are connected with all, by gossip. A message that is gossiped
 * costs each of 32 nodes some 4 ms, because it comes to each three times, and a direct one 0.4. Who is not connected with us finds by its next comparison with anybody that it lacks something.
 */
import { after, never, type Instant } from '../std/time.ts';
import type { Change, Effect } from './events.ts';
import { counterMax, outranks, type NodeRecord } from './record.ts';
import { isOwners, sealRecord, type Signed } from './sealed.ts';
import { complain, standingOf, type State } from './state.ts';
import { restate } from './view-hash.ts';

const quietMs = 100;
/** Gossip published right after the first connection is lost, because no mesh stands yet: it is told again then. */
const meshMs = 1_000;
/** Peers that are told directly: a full mesh and some. */
const directMax = 64;
/** Beyond so many nodes, ourselves among them, membership connects no longer all with all: not all can be told directly. */
const fullMeshMax = 50;

export function revise(state: State, change: Change, now: Instant): readonly Effect[] {
  const next = { ...state.own, ...change };
  if (JSON.stringify(next) === JSON.stringify(state.own)) return [];
  // A drain must be known at once, and who says goodbye may be gone before the others' time is up.
  const isUrgent = next.life.phase !== state.own.life.phase;
  return renew(state, { ...next, sequence: state.own.sequence + 1 }, now, isUrgent);
}

export function refute(state: State, now: Instant): readonly Effect[] {
  return renew(state, { ...state.own, incarnation: state.own.incarnation + 1, sequence: 0 }, now);
}

/**
 * Somebody shows us our own record. If it outranks this one, it is of an earlier life whose clock went ahead of ours;
 * nobody would take what we say now, so we say it with a higher incarnation. No life of ours gets to the highest one.
 */
export function recognise(state: State, signed: Signed, now: Instant): readonly Effect[] {
  const { record } = signed;
  if (record.peerId !== state.own.peerId || !outranks(record, state.own)) return [];
  if (!isOwners(signed, state.seal)) return [];
  const { incarnation } = record;
  if (incarnation >= counterMax) return [];
  return [
    ...renew(state, { ...state.own, incarnation: incarnation + 1, sequence: 0 }, now),
    ...complain(state, { fact: 'record.outlived', incarnation }, now),
  ];
}

/** Tells the newest own record to everyone. */
export function say(state: State, now: Instant): readonly Effect[] {
  state.sayAt = never;
  state.quietUntil = after(now, quietMs);
  const { sealed, complaints } = sealOwn(state, now);
  const message = { type: 'record', ...sealed } as const;
  const effects: Effect[] = isGossiped(state) ? [{ type: 'gossip', message }] : [];
  for (const peerId of [...state.peers.keys()].slice(0, directMax))
    effects.push({ type: 'send', peerId, message });
  return [...effects, ...complaints];
}

const isGossiped = ({ members }: State): boolean => members.size + 1 > fullMeshMax;

/** A new connection hears our record at once; the first one after none is the beginning of a mesh. */
export function greet(state: State, peerId: string, now: Instant): readonly Effect[] {
  if (isGossiped(state) && state.peers.size === 1 && state.sayAt === never) state.sayAt = after(now, meshMs);
  const { sealed, complaints } = sealOwn(state, now);
  return [{ type: 'send', peerId, message: { type: 'record', ...sealed } }, ...complaints];
}

export function sealOwn(
  state: State,
  now: Instant,
): { readonly sealed: Signed; readonly complaints: readonly Effect[] } {
  if (state.ownSealed !== null) return { sealed: state.ownSealed, complaints: [] };
  const { sealed, told } = sealRecord(state.own, state.seal);
  state.ownSealed = sealed;
  const models = state.own.engine.phase === 'none' ? 0 : state.own.engine.models.length;
  if (told === models) return { sealed, complaints: [] };
  return { sealed, complaints: complain(state, { fact: 'record.oversized', models, told }, now) };
}

function renew(state: State, next: NodeRecord, now: Instant, isUrgent = false): readonly Effect[] {
  restate(state.view, next.id, standingOf(state.own, false), standingOf(next, false));
  state.own = next;
  state.ownSealed = null;
  const recorded: Effect = { type: 'recorded', record: next };
  if (isUrgent || now >= state.quietUntil) return [recorded, ...say(state, now)];
  state.sayAt = state.quietUntil;
  return [recorded];
}
