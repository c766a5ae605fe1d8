/** Listeners whose peers ask by lines, as a daemon's do. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { issueCertificate } from '../../src/mtls/certificate.ts';
import { loadIdentity } from '../../src/mtls/identity.ts';
import { listenPeers, peerBounds, type Lines } from '../../src/mtls/peer-listener.ts';
import { openPeerPools, type PeerPools } from '../../src/mtls/peer-pools.ts';
import type { LineKind } from '../../src/mtls/peer-way.ts';
import type { Call } from '../../src/node/call.ts';
import { AnsweringLine } from '../../src/wire/answering.ts';
import { AskingLine } from '../../src/wire/asking.ts';
import { protocol } from '../../src/wire/frames.ts';

export const lineKind: LineKind = { protocol, open: (...line) => new AskingLine(...line) };

/** Each call, and the peer id that it comes from. */
export const linesTo = (onCall: (call: Call, peerId: string) => void): Lines => ({
  protocol,
  take: (socket, begun, { peerId, onClosed }) =>
    new AnsweringLine(socket, begun, {
      ...{ held: { bytes: 0 }, onCall: (call) => onCall(call, peerId), onStuck: () => {}, onClosed },
    }),
});

/** A node that talks to itself by lines, until the end of the test. */
export async function listenToItself(
  t: TestContext,
  onCall: (call: Call) => void,
): Promise<{ readonly peerId: string; readonly port: number; readonly pools: PeerPools }> {
  const folder = await mkdtemp(join(tmpdir(), 'synkti-line-'));
  t.after(() => rm(folder, { recursive: true }));
  const identity = await loadIdentity(join(folder, 'key'));
  const credentials = await issueCertificate(identity);
  const listener = await listenPeers(
    {
      ...{ credentials, host: '127.0.0.1', port: 0, admit: () => Promise.resolve(true) },
      onRequest: (_, response) => response.end('by no line'),
      ...{ lines: linesTo(onCall), bounds: peerBounds, onRefused: () => {} },
    },
    AbortSignal.timeout(30_000),
  );
  t.after(() => listener.close(AbortSignal.abort()));
  const pools = openPeerPools(credentials, lineKind);
  t.after(() => pools.close());
  return { peerId: identity.peerId, port: listener.port, pools };
}
