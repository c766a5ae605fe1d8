/** An instance as the cloud tells of it, in discovery's words. */
import type { Listed } from '../discovery/events.ts';
import { memberId } from '../std/member-id.ts';
import type { Sighting } from './ports.ts';

/** Field by field: a node of a thousand does it a thousand times for each look. */
export const listedFrom = ({ instanceId, peerId, address, zone, role, left }: Sighting): Listed => ({
  id: memberId(instanceId),
  peerId,
  address,
  zone,
  role,
  left,
});
