/** Before a dial to whom may be gone: it fails at 5 ms of libp2p, and a SYN at a tenth of that. */
import type { PeerAddress, Probe } from './ports.ts';

/** A SYN that was lost is repeated after a second only. */
const knockMs = 300;

/** null: somebody may be at home, or it could not be asked; then the dial says why. */
export async function knock(probe: Probe, address: PeerAddress): Promise<'refused' | 'silent' | null> {
  const [asked] = await Promise.allSettled([probe(address, { ms: knockMs, standMs: 0 })]);
  return asked.status === 'rejected' || asked.value === 'answered' ? null : asked.value;
}
