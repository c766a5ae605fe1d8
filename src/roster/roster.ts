/**
 * The cluster without EC2: whoever the settings list, each by name and peer id, and nobody else. The list is the gate;
 * where an address is missing in it, mDNS may find that one, and finds nothing but addresses of listed peers.
 *
 * Every node brings a list of its own, so the word of other members adds nobody to it. There is nothing to tag.
 */
import type { Cloud, PeerAddress, Sighting } from '../node/ports.ts';
import { Failure } from '../std/failure.ts';

export type ListedPeer = {
  readonly name: string;
  readonly peerId: string;
  /** null: to be found on the local network. */
  readonly address: PeerAddress | null;
};

type Self = { readonly nodeId: string; readonly peerId: string; readonly address: PeerAddress };

/** Of all machines: they are taken to stand side by side. */
export const listedZone = 'local';

/** Failure `invalid` when the list holds us under another name or key: the others then turn us away for ever. */
export function openRoster(
  self: Self,
  peers: readonly ListedPeer[],
  find: (peerId: string) => PeerAddress | null,
): Cloud {
  for (const { name, peerId } of peers) contradict(self, name, peerId);
  const others = peers.filter(({ name }) => name !== self.nodeId);
  return {
    sightings: () =>
      Promise.resolve([
        sightingOf({ name: self.nodeId, peerId: self.peerId, address: self.address }),
        ...others.map((peer) => sightingOf({ ...peer, address: peer.address ?? find(peer.peerId) })),
      ]),
    tagSelf: () => Promise.resolve(),
    untagSelf: () => Promise.resolve(),
  };
}

/** Operators stand in the settings of each node, wherever the members come from; they dial us, never we them. */
export function withOperators(cloud: Cloud, operators: readonly string[]): Cloud {
  const listed = operators.map((peerId): Sighting => ({
    instanceId: peerId,
    peerId,
    address: null,
    zone: '',
    role: 'operator',
    left: false,
  }));
  return {
    sightings: async (signal) => [...(await cloud.sightings(signal)), ...listed],
    tagSelf: (tags, signal) => cloud.tagSelf(tags, signal),
    untagSelf: (keys, signal) => cloud.untagSelf(keys, signal),
  };
}

function contradict(self: Self, name: string, peerId: string): void {
  if ((name === self.nodeId) === (peerId === self.peerId)) return;
  throw new Failure(
    'invalid',
    `peers: ${name} is listed with peer id ${peerId}, but this node is ${self.nodeId} with ${self.peerId}`,
  );
}

const sightingOf = ({ name, peerId, address }: ListedPeer): Sighting => ({
  instanceId: name,
  peerId,
  address,
  zone: listedZone,
  role: '',
  left: false,
});
