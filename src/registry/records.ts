/**
 * What each member says of itself, everyone's newest, ours included. A record has one writer, its owner, who seals it; so
 * replication is a maximum over (incarnation, sequence), a CRDT without clocks, and it does not matter who brings what,
 * how often and in which order. Changes go out at once; whatever is missed is found by comparing (sync.ts).
 *
 * Whose signature counts for which instance is discovery's word (`bound`), who is dead is membership's (`judged`); what
 * the digests of others say of that is handed on as rumour and never believed here.
 */
import { unreachable } from '../std/assert.ts';
import type { MemberId } from '../std/member-id.ts';
import { after, earliest, never, type Instant } from '../std/time.ts';
import type { Effect, Event } from './events.ts';
import { bind, hear, judge } from './merge.ts';
import { greet, refute, revise, say } from './own.ts';
import type { NodeRecord } from './record.ts';
import { bury, isMesh, newPeer, pauseMs, type State } from './state.ts';
import { begin, beginWithAnyone, compare, converse } from './sync.ts';
import { sameHash, type ViewHash } from './view-hash.ts';

/** A first comparison with a random peer, once a node has had time to hear what comes by itself. */
const settleMs = 2_000;

const nothing: readonly Effect[] = [];

export function step(state: State, event: Event, now: Instant): readonly [State, readonly Effect[]] {
  return [state, react(state, event, now)];
}

/** When `tick` is due; a late one is harmless. */
export const deadline = (state: State): Instant => earliest(state.sayAt, state.syncAt);

/** What rides on our beats. The same object until the view changes. */
export const viewHash = (state: State): ViewHash => state.view.total;

/** Whether a beat with this hash would change nothing: most of them need not be told. */
export const isAgreed = ({ view, differing, paceMs }: State, hash: ViewHash): boolean =>
  sameHash(view.total, hash) && differing.size === 0 && paceMs === pauseMs;

/** null: nothing has been heard of it. */
export const recordOf = (state: State, id: MemberId): NodeRecord | null =>
  id === state.own.id ? state.own : (state.members.get(id)?.held?.signed.record ?? null);

/** By whom and when the newest record of another member was told; null: none was. */
export const toldOf = (
  state: State,
  id: MemberId,
): { readonly author: string | null; readonly at: Instant } | null => state.members.get(id)?.held ?? null;

function react(state: State, event: Event, now: Instant): readonly Effect[] {
  switch (event.type) {
    case 'beaten':
      return compare(state, event.peerId, event.hash, now);
    case 'message':
      return onMessage(state, event, now);
    case 'revised':
      return revise(state, event.change, now);
    case 'refute':
      return refute(state, now);
    case 'connected':
      return onConnected(state, event.peerId, now);
    case 'disconnected':
      state.peers.delete(event.peerId);
      state.differing.delete(event.peerId);
      return nothing;
    case 'bound':
      return bind(state, event.id, event.peerId, now);
    case 'unbound':
      bury(state, event.id);
      return nothing;
    case 'judged':
      judge(state, event.id, event.dead);
      return nothing;
    case 'tick':
      return onTick(state, now);
    default:
      return unreachable(event);
  }
}

function onMessage(
  state: State,
  { author, message, via }: Extract<Event, { type: 'message' }>,
  now: Instant,
): readonly Effect[] {
  if (message.type === 'record') {
    const { record, text, signature } = message;
    return hear(state, { record, text, signature }, author, now);
  }
  return via === 'gossip' || author === null ? nothing : converse(state, author, message, now);
}

function onConnected(state: State, peerId: string, now: Instant): readonly Effect[] {
  const peer = newPeer(now);
  state.peers.set(peerId, peer);
  if (state.syncAt === never) state.syncAt = after(now, settleMs);
  const greeting = greet(state, peerId, now);
  return isBeginner(state, peerId) ? [...greeting, ...begin(state, peerId, peer, now)] : greeting;
}

/**
 * Both ends see the connection, and one comparison serves both. Where members are many, who has peers already learns
 * from one of them now and then; only who had none may lack everything.
 */
const isBeginner = (state: State, peerId: string): boolean =>
  isMesh(state) ? state.own.peerId < peerId : state.peers.size === 1;

function onTick(state: State, now: Instant): readonly Effect[] {
  const said = now >= state.sayAt ? say(state, now) : nothing;
  const begun = now >= state.syncAt ? beginWithAnyone(state, now) : nothing;
  return [...said, ...begun];
}
