import type { Network, NetworkEvents } from '../node/ports.ts';
import type { Pulse } from './messages.ts';

type Open = (events: NetworkEvents) => Promise<Network>;

/** The first byte of a beat; see node/message.ts. */
const beatByte = 0x01;

/** The same network, and what went through it. */
export function metered(open: Open): { readonly open: Open; usage(): Omit<Pulse, 'lagSeconds'> } {
  const counted = { beatsSent: 0, beatsHeard: 0, bytesSent: 0 };
  return {
    open: async (events) => {
      const network = await open({
        ...events,
        message: (author, body, via) => {
          if (body[0] === beatByte) counted.beatsHeard++;
          events.message(author, body, via);
        },
      });
      return {
        peerId: network.peerId,
        dial: (...peer) => network.dial(...peer),
        hangUp: (peerId) => network.hangUp(peerId),
        openGossip: () => network.openGossip(),
        gossip: (body) => {
          counted.bytesSent += body.byteLength;
          network.gossip(body);
        },
        send: (peerId, body) => {
          const sent = network.send(peerId, body);
          if (sent) counted.bytesSent += body.byteLength;
          if (sent && body[0] === beatByte) counted.beatsSent++;
          return sent;
        },
        close: () => network.close(),
      };
    },
    usage: () => {
      const { user, system } = process.threadCpuUsage();
      return { ...counted, cpuSeconds: (user + system) / 1e6 };
    },
  };
}
