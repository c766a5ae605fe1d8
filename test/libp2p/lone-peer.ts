/**
 * A process with one peer in it, to be killed or frozen: prints its peer id and port, then stays connected and says
 * so by gossip.
 */
import { bytes, startPeer } from './peers.ts';

const { network, peerId, address } = await startPeer();
process.stdout.write(`${JSON.stringify({ peerId, address })}\n`);
setInterval(() => network.gossip(bytes('here')), 100);
