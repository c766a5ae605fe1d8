import type { Pool } from 'undici';
import type { Credentials } from './certificate.ts';
import { peerPool } from './peer-pool.ts';

/** As many as a cell may have members (500) and some that were replaced; the one unused for longest goes first. */
const poolsMax = 600;

export type PeerPools = {
  to(peer: { readonly peerId: string; readonly address: string }): Pool;
  /** Cuts what still runs. */
  close(): Promise<void>;
};

/** One pool for each peer and address, made when it is first wanted. */
export function openPeerPools(credentials: Credentials): PeerPools {
  const pools = new Map<string, Pool>();
  return {
    to: ({ peerId, address }) => {
      const key = `${peerId}@${address}`;
      const pool = pools.get(key) ?? peerPool({ credentials, peerId, address });
      pools.delete(key);
      pools.set(key, pool);
      const [oldest] = pools;
      if (pools.size > poolsMax && oldest !== undefined) {
        pools.delete(oldest[0]);
        void oldest[1].close();
      }
      return pool;
    },
    close: async () => {
      await Promise.all([...pools.values()].map((pool) => pool.destroy()));
    },
  };
}
