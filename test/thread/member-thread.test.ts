/** Real threads: two of them that are members of each other, and some that fail. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../../src/cli/dev/ports.ts';
import { identityFromSeed } from '../../src/mtls/identity.ts';
import type { Fact } from '../../src/node/facts.ts';
import type { Sighting } from '../../src/node/ports.ts';
import { originMs, systemClock } from '../../src/os/clock.ts';
import { Failure } from '../../src/std/failure.ts';
import { memberId } from '../../src/std/member-id.ts';
import {
  patience,
  startMemberThread,
  type MemberThread,
  type ThreadCode,
} from '../../src/thread/member-thread.ts';
import type { Setup } from '../../src/thread/messages.ts';
import { recordOf } from './fake-cluster.ts';

const real: ThreadCode = { type: 'file', url: new URL('../../src/member-thread.ts', import.meta.url) };
const home = await mkdtemp(join(tmpdir(), 'synkti-thread-'));
after(() => rm(home, { recursive: true }));
const running: MemberThread[] = [];
afterEach(async () => {
  await Promise.all(
    running.splice(0).map(async ({ cluster, close }) => {
      await cluster.close();
      await close();
    }),
  );
});

async function setupOf(name: string, port: number): Promise<Setup> {
  const keySeed = randomBytes(32);
  const { peerId } = identityFromSeed(keySeed);
  return {
    own: { ...recordOf(name), peerId },
    keySeed,
    listen: { host: '127.0.0.1', port },
    listing: 'shared',
    discoveryMs: 30_000,
    rngSeed: port,
    remembered: null,
    memory: { path: join(home, `${name}.json`), of: name },
    originMs,
    faults: true,
  };
}

const sightingOf = ({ own, listen }: Setup): Sighting => ({
  ...{ instanceId: own.id, peerId: own.peerId, address: listen, zone: own.zone, role: own.role, left: false },
});

async function start(setup: Setup, options: { code?: ThreadCode; sightings?: readonly Sighting[] } = {}) {
  const { code = real, sightings = [] } = options;
  const facts: Fact[] = [];
  const thread = await startMemberThread(
    { code, setup, patience: { ...patience, roundMs: 100, stillRounds: 15 } },
    {
      clock: systemClock,
      cloud: { sightings: () => Promise.resolve(sightings) },
      report: (fact) => facts.push(fact),
    },
  );
  running.push(thread);
  return { ...thread, facts };
}

async function pair() {
  const setups = [await setupOf('a', await freePort()), await setupOf('b', await freePort())];
  const sightings = setups.map(sightingOf);
  const [a, b] = await Promise.all(setups.map((setup) => start(setup, { sightings })));
  for (const { cluster } of [a!, b!]) {
    await cluster.listen();
    cluster.join();
  }
  const sees = ({ cluster }: MemberThread, name: string): boolean => {
    const known = cluster.member(memberId(name));
    return known?.health === 'alive' && known.record !== null;
  };
  await until('they see each other', () => sees(a!, 'b') && sees(b!, 'a'));
  return [a!, b!] as const;
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`never: ${what}`);
    await pause(5);
  }
}

const bytesSent = ({ samples }: MemberThread): number =>
  samples().find(({ name }) => name === 'synkti_membership_bytes_sent_total')?.value ?? 0;

test('two threads find each other through the cloud of this one, and hear what the other says of itself', async () => {
  const since = systemClock.now();
  const [a, b] = await pair();
  b.cluster.revise({ life: { phase: 'serving' } });
  await until('heard', () => a.cluster.member(memberId('b'))?.record?.life.phase === 'serving');
  b.cluster.tellLoad({ running: 3, waiting: 1 });
  await until('loaded', () => a.cluster.member(memberId('b'))?.load?.running === 3);
  const heardAt = a.cluster.member(memberId('b'))?.heardAt ?? null;
  ok(
    heardAt !== null && since <= heardAt && heardAt <= systemClock.now(),
    'its instants compare with those of this thread',
  );
  equal(await a.cluster.admit(b.cluster.own().peerId), true);
});

test('a main thread that stands still for three seconds is nothing to its peers', async () => {
  const [a, b] = await pair();
  await until('both pulse', () => bytesSent(a) > 0 && bytesSent(b) > 0);
  const before = bytesSent(a);
  // On a busy machine one may be looked for before it listens.
  const told = [a, b].map(({ facts }) => facts.length);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_000);
  await until('the news of that time', () => bytesSent(a) > before);
  await pause(1_500);
  deepEqual(
    [a, b].flatMap(({ facts }, i) => facts.slice(told[i])).filter(({ fact }) => /suspected|died/.test(fact)),
    [],
  );
  equal(b.cluster.member(memberId('a'))?.health, 'alive');
});

test('an address that is taken is the failure of the thread, told as it is', async () => {
  const setup = await setupOf('a', await freePort());
  const { cluster } = await start(setup);
  await cluster.listen();
  const second = await start(setup);
  await rejects(second.cluster.listen(), { kind: 'busy', message: /EADDRINUSE/ });
});

const script = (text: string): ThreadCode => ({
  type: 'script',
  text: `const { parentPort } = require('node:worker_threads'); ${text}`,
});

test('a thread that breaks is one failure, which waits for nobody', async () => {
  const broken = script(
    `parentPort.postMessage({ type: 'up' }); parentPort.on('message', () => { throw new TypeError('a bug'); });`,
  );
  const { cluster, failed } = await start(await setupOf('a', 1), { code: broken });
  cluster.join();
  const failure = await failed;
  deepEqual(
    [failure.kind, failure.message],
    ['unreachable', 'membership thread: unreachable: TypeError: a bug'],
  );
  await rejects(cluster.listen(), failure);
  equal(await cluster.admit('somebody'), false);
  const since = performance.now();
  await cluster.close();
  // One that lives has four seconds to answer.
  ok(performance.now() - since < 3_000);
});

test('a thread that ends before it is up never was one', async () => {
  await rejects(start(await setupOf('a', 1), { code: script(`process.exit(3);`) }), (error: unknown) => {
    ok(error instanceof Failure);
    match(error.message, /ended with code 3/);
    return true;
  });
});

test('a thread that does not come up in time is given up', async () => {
  const setup = await setupOf('a', 1);
  const code = script(`parentPort.on('message', () => {});`);
  const main = {
    clock: systemClock,
    cloud: { sightings: () => Promise.resolve([]) },
    report: () => undefined,
  };
  await rejects(startMemberThread({ code, setup, patience: { ...patience, upMs: 300 } }, main), {
    kind: 'late',
  });
});

test('a thread that stands still is noticed, though it lives', async () => {
  const code = script(`parentPort.postMessage({ type: 'up' }); for (;;);`);
  const { failed, close } = await start(await setupOf('a', 1), { code });
  running.pop();
  equal((await failed).message, 'membership thread: late: stands still');
  await close();
});

test('a stall of the main thread is not one of the other', async () => {
  const [a] = await pair();
  let failed = false;
  void a.failed.then(() => (failed = true));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_500);
  await pause(500);
  equal(failed, false);
});
