/** A process with one peer in it, to be killed or frozen: prints its peer id and port, then stays connected. */
import { startPeer } from './peers.ts';

const { peerId, address } = await startPeer();
process.stdout.write(`${JSON.stringify({ peerId, address })}\n`);
