/** The port of leases against S3 as the local cloud speaks it: real sockets, the real SDK. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { openLeaseStore } from '../../src/aws/leases.ts';
import { Holding } from '../../src/node/holding.ts';
import type { Clock, LeaseStore } from '../../src/node/ports.ts';
import { systemClock } from '../../src/os/clock.ts';
import { memberId } from '../../src/std/member-id.ts';
import { wallTime, type WallTime } from '../../src/std/time.ts';
import { fastClock } from '../gateway/fast-clock.ts';
import { Bucket, eventually, openS3Rig, type S3Rig } from '../localcloud/s3-rig.ts';
import { openLossyProxy } from './lossy-proxy.ts';

const soon = (): AbortSignal => AbortSignal.timeout(30_000);
const key = 'leases/scale';
/** Long enough for a machine that stands still for some seconds; while a test waits its time goes faster. */
const ttlMs = 30_000;
/** For each look of a test that waits, ms: twenty times as fast as it would. */
const skippedMs = 100;

type Opened = LeaseStore & AsyncDisposable;

function open(rig: S3Rig, endpoint = rig.url, bucket = Bucket): Opened {
  const credentials = rig.client.config.credentials as () => Promise<{
    accessKeyId: string;
    secretAccessKey: string;
  }>;
  const store = openLeaseStore({ bucket, endpoint, region: 'us-east-1', credentials: () => credentials() });
  return Object.assign(store, { [Symbol.asyncDispose]: async () => store.close() });
}

test('[L1] one creates, and replaces what it has seen; every other write is unmet', async () => {
  await using rig = await openS3Rig();
  await using store = open(rig);
  equal(await store.read(key, soon()), null);
  deepEqual(await store.replace(key, { body: 'x', etag: '"none"' }, soon()), { type: 'unmet' });
  const made = await store.create(key, 'one', soon());
  ok(made.type === 'written');
  deepEqual(await store.create(key, 'two', soon()), { type: 'unmet' });
  deepEqual(await store.read(key, soon()), { body: 'one', etag: made.etag });
  const replaced = await store.replace(key, { body: 'three', etag: made.etag }, soon());
  ok(replaced.type === 'written');
  deepEqual(await store.replace(key, { body: 'four', etag: made.etag }, soon()), { type: 'unmet' });
  deepEqual(await store.read(key, soon()), { body: 'three', etag: replaced.etag });
});

test('of twenty that create at once one does, and the others hear that they did not', async () => {
  await using rig = await openS3Rig();
  await using store = open(rig);
  const all = Array.from({ length: 20 }, (_, at) => store.create(key, `${at}`, soon()));
  const written = (await Promise.all(all)).filter(({ type }) => type === 'written');
  equal(written.length, 1);
});

test('[L6] a conflict is told from a refusal, and every failure has its kind; nothing is tried twice', async () => {
  await using rig = await openS3Rig();
  await using store = open(rig);
  const kinds = { 503: 'busy', 500: 'unreachable', 403: 'denied', 400: 'invalid' } as const;
  for (const [status, kind] of Object.entries(kinds)) {
    rig.faults.push({ delayMs: 0, fail: Number(status) as 503 });
    await rejects(store.create(key, 'x', soon()), { name: 'Failure', kind });
  }
  rig.faults.push({ delayMs: 0, fail: 'drop' });
  await rejects(store.read(key, soon()), { kind: 'unreachable' });
  rig.faults.push({ delayMs: 0, fail: 409 });
  deepEqual(await store.create(key, 'x', soon()), { type: 'conflict' });
  rig.faults.push({ delayMs: 2_000, fail: null });
  await rejects(store.read(key, AbortSignal.timeout(50)), { kind: 'late' });
  equal(rig.begun.length, 7);
  await using nowhere = open(rig, rig.url, 'nowhere');
  await rejects(nowhere.read(key, soon()), { kind: 'missing' });
  await rejects(nowhere.create(key, 'x', soon()), { kind: 'missing' });
});

test('a document that is too long, or does not say how long it is, is none of ours and is not read', async (t) => {
  await using rig = await openS3Rig();
  const lengths: Readonly<Record<string, string>>[] = [{ 'content-length': '2000000' }, {}];
  const server = createServer((_, response) => {
    response.writeHead(200, { etag: '"1"', ...lengths.shift() });
    response.write('it never ends');
  }).listen(0, '127.0.0.1');
  t.after(() => server.close().closeAllConnections());
  await once(server, 'listening');
  await using store = open(rig, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  await rejects(store.read(key, soon()), { kind: 'invalid', message: /2000000 bytes/ });
  await rejects(store.read(key, soon()), { kind: 'invalid', message: /Infinity bytes/ });
});

test('[L5] an answer that is lost leaves the write behind, and says nothing of it', async () => {
  await using rig = await openS3Rig();
  await using proxy = await openLossyProxy(rig.url);
  await using store = open(rig, proxy.url);
  proxy.loseNextAnswer();
  await rejects(store.create(key, 'x', soon()), { kind: 'unreachable' });
  equal((await store.read(key, soon()))?.body, 'x');
});

/** The clocks of one machine, and a wait during which they go faster together. */
function fast() {
  const { clock, skip } = fastClock();
  const slipMs = (): number => clock.now() - systemClock.now();
  const wallNow = (): WallTime => wallTime(systemClock.wallNow() + slipMs());
  const until = (holds: () => boolean): Promise<void> =>
    eventually(() => {
      skip(skippedMs);
      return holds();
    });
  return { clock: { ...clock, wallNow }, until };
}

function candidate(id: string, store: LeaseStore, clock: Clock, rank = 0): Holding & Disposable {
  const facts: string[] = [];
  const holding = new Holding(
    { duty: 'scale', self: memberId(id), run: `${id}-${process.pid}`, ttlMs, rank },
    { clock, store, rng: { seed: 13 }, report: ({ fact }) => facts.push(fact) },
  );
  return Object.assign(holding, { [Symbol.dispose]: () => holding.close() });
}

/** So that nobody waits for a holder that never was. */
const free = (store: LeaseStore): Promise<unknown> =>
  store.create(
    key,
    JSON.stringify({ epoch: 6, holder: 'i-0', nonce: 'i-0.1', ttlMs, released: true }),
    soon(),
  );

test('[L9] a duty goes from one to the next by release, and both see who has it', async () => {
  await using rig = await openS3Rig();
  await using store = open(rig);
  await free(store);
  const { clock, until } = fast();
  using one = candidate('i-1', store, clock);
  await until(() => one.holds() !== null);
  equal(one.holds()?.epoch, 7);
  using two = candidate('i-2', store, clock, 1);
  const told: (number | null)[] = [];
  two.changed.add((held) => told.push(held?.epoch ?? null));
  await one.release(soon());
  equal(one.holds(), null);
  await until(() => two.holds() !== null);
  deepEqual(told, [8]);
  equal(JSON.parse((await store.read(key, soon()))!.body).holder, 'i-2');
});

test('[L4] who cannot reach S3 stops before the next one starts, and its late commit is refused', async () => {
  await using rig = await openS3Rig();
  await using proxy = await openLossyProxy(rig.url);
  await using cut = open(rig, proxy.url);
  await using store = open(rig);
  await free(store);
  const { clock, until } = fast();
  using one = candidate('i-1', cut, clock);
  await until(() => one.holds() !== null);
  deepEqual(await one.commit('first', soon()), { type: 'committed' });
  using two = candidate('i-2', store, clock, 1);
  proxy.hold(true);
  let both = 0;
  await until(() => {
    if (one.holds() !== null && two.holds() !== null) both += 1;
    return two.holds() !== null;
  });
  equal(both, 0);
  equal(two.holds()?.epoch, 8);
  deepEqual(await two.commit('second', soon()), { type: 'committed' });
  deepEqual(await one.commit('late', soon()), { type: 'not-held' });
});

test('[L5] a holder lives through SlowDown, a conflict and a lost answer without a gap', async () => {
  await using rig = await openS3Rig();
  await using proxy = await openLossyProxy(rig.url);
  await using store = open(rig, proxy.url);
  await free(store);
  const { clock, until } = fast();
  using one = candidate('i-1', store, clock);
  await until(() => one.holds() !== null);
  const told: unknown[] = [];
  one.changed.add((held) => told.push(held));
  for (const trouble of [503, 409, 'lost'] as const) {
    const begun = rig.begun.length;
    if (trouble === 'lost') proxy.loseNextAnswer();
    else rig.faults.push({ delayMs: 0, fail: trouble });
    // The write that fails, the read after it, and a renewal that works.
    await until(() => rig.begun.slice(begun).filter((name) => name === 'PutObject').length >= 2);
    ok(rig.begun.slice(begun).includes('GetObject'), String(trouble));
  }
  equal(one.holds()?.epoch, 7);
  deepEqual(told, []);
});
