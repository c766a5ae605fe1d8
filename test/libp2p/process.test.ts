import { equal, ok, rejects } from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { afterEach, test } from 'node:test';
import type { PeerAddress } from '../../src/node/ports.ts';
import { Failure } from '../../src/std/failure.ts';
import { soon, startPeer, until, type Peer } from './peers.ts';

type Lone = { readonly process: ChildProcess; readonly peerId: string; readonly address: PeerAddress };

const children: ChildProcess[] = [];
const peers: Peer[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await Promise.all(peers.splice(0).map(({ network }) => network.close()));
});

/** Ours, connected to one that lives in a process of its own. */
async function connected(): Promise<[Peer, Lone]> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'lone-peer.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const lines = createInterface({ input: child.stdout });
  const [line] = (await once(lines, 'line', { signal: AbortSignal.timeout(20_000) })) as [string];
  const lone: Lone = { process: child, ...(JSON.parse(line) as { peerId: string; address: PeerAddress }) };
  const ours = await startPeer();
  peers.push(ours);
  await ours.network.dial(lone, soon());
  return [ours, lone];
}

const failureOf = (dialled: Promise<void>): Promise<Failure> =>
  dialled.then(
    () => new Failure('invalid', 'it was dialled'),
    (error: Failure) => error,
  );

test('a killed peer is disconnected by its kernel, and its port refuses the next dial', async () => {
  const [ours, lone] = await connected();
  lone.process.kill('SIGKILL');
  await until('disconnected', () => ours.links.at(-1) === `-${lone.peerId}`);
  // Between the end of its connections and that of its listener the kernel still takes some, and resets them.
  let failure = await failureOf(ours.network.dial(lone, soon()));
  while (failure.kind === 'denied') failure = await failureOf(ours.network.dial(lone, soon()));
  equal(failure.kind, 'missing');
  equal(ours.network.send(lone.peerId, new Uint8Array(8)), false);
});

test('a frozen peer is dropped once a bounded amount waits for it, and does not hold up the others', async () => {
  const [ours, lone] = await connected();
  lone.process.kill('SIGSTOP');
  const body = new Uint8Array(65_536);
  let accepted = 0;
  while (ours.network.send(lone.peerId, body)) {
    accepted += body.byteLength;
    ok(accepted < 33_554_432, 'never refused');
    await new Promise((resolve) => setImmediate(resolve));
  }
  equal(ours.links.at(-1), `-${lone.peerId}`);
  ok(ours.refused.some((why) => why.includes('takes less than it is sent')));
});

test('a frozen peer cannot be dialled and is not waited for beyond the deadline', async () => {
  const [ours, lone] = await connected();
  await ours.network.hangUp(lone.peerId);
  lone.process.kill('SIGSTOP');
  const started = performance.now();
  await rejects(ours.network.dial(lone, AbortSignal.timeout(500)), { kind: 'late' });
  // By itself a dial waits for five seconds.
  ok(performance.now() - started < 4_500);
});

test('gossip that a frozen peer does not take is bounded, and the peer dropped', async () => {
  const [ours, lone] = await connected();
  await until('gossip stood when it was looked at', () => ours.heard.length > 12);
  lone.process.kill('SIGSTOP');
  const body = new Uint8Array(60_000);
  for (let i = 0; i < 50; i++) {
    ours.network.gossip(body);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const tookMs = await until('dropped', () => ours.links.at(-1) === `-${lone.peerId}`);
  // A new one has fifteen seconds to take what it is told first.
  ok(tookMs < 12_000, `${tookMs} ms`);
  ok(ours.refused.some((why) => why.includes('takes no gossip')));
});

test('the kernel of a frozen peer answers hundreds of probes', async () => {
  const [, lone] = await connected();
  lone.process.kill('SIGSTOP');
  let answered = 0;
  const probes = Array.from({ length: 600 }, () =>
    connect(lone.address.port, '127.0.0.1', () => answered++).on('error', () => {}),
  );
  await until('all answered', () => answered === probes.length);
  for (const probe of probes) probe.resetAndDestroy();
});
