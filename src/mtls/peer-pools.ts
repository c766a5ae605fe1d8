import { Failure } from '../std/failure.ts';
import type { Credentials } from './certificate.ts';
import { peerPool } from './peer-pool.ts';
import { PeerWay, refuse, type LineKind, type Way } from './peer-way.ts';

/** As many as a cell may have members (500) and some that were replaced; the one unused for longest goes first. */
const waysMax = 600;

export type PeerPools = {
  to(peer: { readonly peerId: string; readonly address: string }): Way;
  /** Cuts what still runs. */
  close(): Promise<void>;
};

/** One way to each peer and address, made when it is first wanted. */
export function openPeerPools(credentials: Credentials, lines: LineKind): PeerPools {
  const ways = new Map<string, PeerWay>();
  return {
    to: ({ peerId, address }) => {
      const key = `${peerId}@${address}`;
      const known = ways.get(key);
      if (known === undefined && !isOrigin(address)) return noWay(peerId, address);
      const way = known ?? new PeerWay(peerPool({ credentials, peerId, address }), lines);
      ways.delete(key);
      ways.set(key, way);
      const [oldest] = ways;
      if (ways.size > waysMax && oldest !== undefined) {
        ways.delete(oldest[0]);
        oldest[1].retire();
      }
      return way;
    },
    close: async () => {
      await Promise.all([...ways.values()].map((way) => way.destroy()));
    },
  };
}

/** A member says of itself what it likes, and undici throws at what is no origin. */
function isOrigin(address: string): boolean {
  const url = URL.parse(`https://${address}`);
  return url !== null && url.href === `${url.origin}/`;
}

const noWay = (peerId: string, address: string): Way => ({
  dispatch: (_, handler) => {
    const why = `peer ${peerId}: invalid: ${JSON.stringify(address)} is no address`;
    queueMicrotask(() => refuse(handler, new Failure('invalid', why)));
    return true;
  },
});
