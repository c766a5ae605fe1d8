/**
 * The node at the other end: `other-end.ts DIR` answers each call with a stream of `?tokens=N` events, one a
 * step, all streams in the same steps as an engine has them. It prints the port once it listens, and its CPU time in µs
 * whenever a line comes on its stdin.
 */
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { issueCertificate } from '../../../src/mtls/certificate.ts';
import { loadIdentity } from '../../../src/mtls/identity.ts';
import { listenPeers, peerBounds } from '../../../src/mtls/peer-listener.ts';
import { HttpCall } from '../../../src/gateway/http-call.ts';
import { openIntake } from '../../../src/gateway/intake.ts';
import type { Call } from '../../../src/node/call.ts';
import { AnsweringLine } from '../../../src/wire/answering.ts';
import { protocol } from '../../../src/wire/frames.ts';
import { bodyBytesMax, eventOf, stepMs } from './plan.ts';

const [dir = ''] = process.argv.slice(2);
const streams = new Map<Call, number>();
let steps = 0;
setInterval(() => {
  const event = eventOf(++steps);
  for (const [call, left] of streams) {
    call.write(event);
    if (left > 1) streams.set(call, left - 1);
    else {
      streams.delete(call);
      call.end();
    }
  }
}, stepMs);

function begin(call: Call): void {
  void call.body(bodyBytesMax).then((body) => {
    if (body === null) return;
    call.onClose(() => streams.delete(call));
    call.answer(200, { 'content-type': 'text/event-stream' });
    streams.set(call, Number(call.path.split('=')[1]));
  });
}

const intake = openIntake(bodyBytesMax);
const identity = await loadIdentity(join(dir, 'serving'));
const listener = await listenPeers(
  {
    ...{ credentials: await issueCertificate(identity), host: '127.0.0.1', port: 0 },
    admit: () => Promise.resolve(true),
    onRequest: (request, response) => begin(new HttpCall(request, response, intake)),
    lines: {
      protocol,
      take: (socket, begun, { onClosed }) =>
        new AnsweringLine(socket, begun, {
          ...{ held: { bytes: 0 }, onCall: begin, onStuck: () => {}, onClosed },
        }),
    },
    bounds: peerBounds,
    onRefused: (why) => process.stderr.write(`${why}\n`),
  },
  AbortSignal.timeout(10_000),
);
process.stdout.write(`${listener.port} ${identity.peerId}\n`);
createInterface({ input: process.stdin })
  .on('line', () => {
    const { user, system } = process.cpuUsage();
    process.stdout.write(`${user + system}\n`);
  })
  .on('close', () => process.exit(0));
