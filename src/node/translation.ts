/** What comes from one side of the house in the words of another. */
import type { Listed } from '../discovery/events.ts';
import type { Options } from '../membership/state.ts';
import type { NodeRecord } from '../registry/record.ts';
import { Failure } from '../std/failure.ts';
import { memberId } from '../std/member-id.ts';
import type { Clock, Sighting } from './ports.ts';

/** Field by field: a node of a thousand does it a thousand times for each look. */
export const listedFrom = ({ instanceId, peerId, address, zone, role, left }: Sighting): Listed => ({
  id: memberId(instanceId),
  peerId,
  address,
  zone,
  role,
  left,
});

/** Why a dial failed, as membership cares. */
export function whyNot(error: unknown): 'refused' | 'silent' | 'replaced' | 'denied' {
  const kind = error instanceof Failure ? error.kind : 'denied';
  if (kind === 'missing') return 'refused';
  if (kind === 'late') return 'silent';
  return kind === 'invalid' ? 'replaced' : 'denied';
}

/** The address of one who has none: it comes to us. */
export const nowhere = { host: '', port: 0 };

export const ourselves = (own: NodeRecord, clock: Clock): Options => ({
  selfId: own.id,
  peerId: own.peerId,
  address: nowhere,
  zone: own.zone,
  voter: own.role !== 'operator',
  incarnation: own.incarnation,
  sequence: clock.wallNow(),
  epochOffsetMs: clock.wallNow() - clock.now(),
});
