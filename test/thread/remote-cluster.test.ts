/** Both ends of the port in one thread, over a real MessageChannel: what one side does, the other reads. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import type { Fact, Report } from '../../src/node/facts.ts';
import type { Cloud, Sighting } from '../../src/node/ports.ts';
import { systemClock } from '../../src/os/clock.ts';
import { Failure } from '../../src/std/failure.ts';
import { memberId } from '../../src/std/member-id.ts';
import { instant } from '../../src/std/time.ts';
import type { FromThread } from '../../src/thread/messages.ts';
import { RemoteCluster } from '../../src/thread/remote-cluster.ts';
import { serveCluster } from '../../src/thread/serve-cluster.ts';
import { FakeCluster, knownOf, recordOf } from './fake-cluster.ts';

const cleanups: (() => void)[] = [];
afterEach(() => cleanups.splice(0).forEach((cleanup) => cleanup()));

const load = (running: number, at: number) => ({ running, waiting: 0, at: instant(at) });
const [a, b] = [memberId('a'), memberId('b')];

function openPair(cloud: Pick<Cloud, 'sightings'> = { sightings: () => Promise.resolve([]) }) {
  const { port1, port2 } = new MessageChannel();
  cleanups.push(() => port1.close());
  const fake = new FakeCluster();
  const facts: Fact[] = [];
  const isolated: boolean[] = [];
  const remote = new RemoteCluster({
    own: recordOf('self'),
    clock: systemClock,
    cloud,
    report: (fact) => facts.push(fact),
    post: (message) => port1.postMessage(message),
  });
  let batches = 0;
  port1.on('message', (message: FromThread) => {
    if (message.type === 'news') batches++;
    remote.onMessage(message);
  });
  let main: { readonly cloud: Pick<Cloud, 'sightings'>; readonly report: Report } | null = null;
  serveCluster(port2, (given) => {
    main = given;
    const usage = () => ({ cpuSeconds: 1, beatsSent: 2, beatsHeard: 3, bytesSent: 4 });
    return { cluster: fake, usage, isolate: (on) => void isolated.push(on) };
  });
  return { fake, remote, facts, isolated, main: main!, batches: () => batches };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 5_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`never: ${what}`);
    await turn();
  }
}

test('what a node changes about itself it reads in the next line, and nothing older ever after', async () => {
  const { fake, remote } = openPair();
  const read: string[] = [];
  remote.revise({ life: { phase: 'serving' } });
  equal(remote.own().life.phase, 'serving');
  await turn();
  remote.revise({ life: { phase: 'draining', reason: 'signal', deadline: 1 } });
  const watch = (): boolean => {
    read.push(remote.own().life.phase);
    return remote.own().sequence === 2;
  };
  await until('both revisions came back', watch);
  deepEqual([...new Set(read)], ['draining']);
  equal(fake.own().life.phase, 'draining');
});

test('who hears of a change reads it already, once, however often it happened meanwhile', async () => {
  const { fake, remote, batches } = openPair();
  const told: string[] = [];
  remote.changed.add((id) => told.push(`${id} ${remote.member(id)?.health}`));
  fake.put(knownOf('a', { health: 'suspect' }));
  fake.put(knownOf('b'));
  fake.put(knownOf('a', { health: 'dead' }));
  await until('told', () => told.length > 0);
  deepEqual(told, ['a dead', 'b alive']);
  equal(batches(), 1);
  deepEqual(
    remote.members().map(({ id }) => id),
    [a, b],
  );
  fake.forget(a);
  await until('forgotten', () => told.length > 2);
  deepEqual(told.slice(2), ['a undefined']);
  equal(remote.members().length, 1);
});

test('whose key is no member’s any more is told, when the mirror has forgotten it', async () => {
  const { fake, remote } = openPair();
  const told: string[] = [];
  remote.barred.add((peerId) => told.push(`${peerId} ${remote.members().length}`));
  fake.put(knownOf('a'));
  fake.put(knownOf('b', { health: 'suspect' }));
  await until('known', () => remote.members().length === 2);
  fake.forget(a);
  await until('barred', () => told.length > 0);
  deepEqual(told, ['peer-a 1']);
});

test('a load is in the mirror at once, without anybody being told; a muted one is gone before they are', async () => {
  const { fake, remote } = openPair();
  const told: string[] = [];
  remote.changed.add((id) => told.push(`changed ${id}`));
  remote.muted.add((id) => told.push(`muted ${id} ${JSON.stringify(remote.member(id)?.load)}`));
  fake.put(knownOf('a'));
  await until('known', () => remote.member(a) !== null);
  fake.known.set(a, knownOf('a', { load: load(7, 5) }));
  fake.loaded.tell(a);
  await until('loaded', () => remote.member(a)?.load?.running === 7);
  deepEqual(told, ['changed a']);
  fake.known.set(a, knownOf('a'));
  fake.muted.tell(a);
  await until('muted', () => told.length > 1);
  deepEqual(told.slice(1), ['muted a null']);
});

test('a load that rode on an answer stays on this side, and the younger of two counts', async () => {
  const { fake, remote } = openPair();
  fake.put(knownOf('a', { load: load(1, 0) }));
  await until('known', () => remote.member(a) !== null);
  remote.heardLoad(a, { running: 9, waiting: 0 });
  equal(remote.member(a)?.load?.running, 9);
  fake.put(knownOf('a', { load: load(1, 0), health: 'suspect' }));
  await until('changed', () => remote.member(a)?.health === 'suspect');
  equal(remote.member(a)?.load?.running, 9);
  fake.put(knownOf('a', { load: load(3, systemClock.now() + 1) }));
  await until('changed', () => remote.member(a)?.health === 'alive');
  equal(remote.member(a)?.load?.running, 3);
  ok(!fake.done.includes('heard a load'));
});

test('what the node does to its cluster is done there, in order', async () => {
  const { fake, remote, isolated } = openPair();
  await remote.listen();
  remote.join();
  remote.tellLoad({ running: 1, waiting: 0 });
  remote.suspect(a);
  remote.isolate(true);
  await remote.looked;
  await remote.close();
  deepEqual(fake.done, ['listen', 'join', 'load {"running":1,"waiting":0}', 'suspect a', 'close']);
  deepEqual(isolated, [true]);
});

test('a failure keeps its kind and its words on the way', async () => {
  const { fake, remote } = openPair();
  fake.gate = () => Promise.reject(new Failure('busy', 'listen for gossip on 4001: busy: EADDRINUSE'));
  await rejects(remote.listen(), (error: unknown) => {
    ok(error instanceof Failure);
    deepEqual([error.kind, error.message], ['busy', 'listen for gossip on 4001: busy: EADDRINUSE']);
    return true;
  });
});

test('a member is let in, a stranger is not, and nobody when the other side is gone', async () => {
  const { fake, remote, facts } = openPair();
  fake.known.set(a, knownOf('a'));
  equal(await remote.admit('peer-a'), true);
  equal(await remote.admit('peer-x'), false);
  fake.gate = () => new Promise(() => {});
  const waiting = remote.admit('peer-a');
  remote.end(new Failure('unreachable', 'it has ended'));
  equal(await waiting, false);
  equal(await remote.admit('peer-a'), false);
  deepEqual(facts.at(-1), { fact: 'peer.refused', peerId: 'peer-a', why: 'it has ended' });
  await remote.close();
});

test('the thread looks at the cloud through this side, and gives up through it as well', async () => {
  const seen: AbortSignal[] = [];
  const sighting: Sighting = {
    ...{ instanceId: 'i-1', peerId: null, address: { host: 'h', port: 1 }, zone: 'z', role: '', left: false },
  };
  const answers: (() => Promise<readonly Sighting[]>)[] = [
    () => Promise.resolve([sighting]),
    () => Promise.reject(new Failure('denied', 'list instances: denied: UnauthorizedOperation')),
    () => new Promise(() => {}),
  ];
  const { main } = openPair({
    sightings: (signal) => {
      seen.push(signal);
      return answers.shift()!();
    },
  });
  deepEqual(await main.cloud.sightings(AbortSignal.timeout(30_000)), [sighting]);
  await rejects(main.cloud.sightings(AbortSignal.timeout(30_000)), { kind: 'denied' });
  const impatient = new AbortController();
  const third = main.cloud.sightings(impatient.signal);
  await until('asked', () => seen.length === 3);
  impatient.abort(new Failure('late', 'no answer within 10 s'));
  await rejects(third, { kind: 'late', message: 'no answer within 10 s' });
  await until('told', () => seen[2]!.aborted);
});

test('facts cross with their fields, before anybody acts on what they tell of', async () => {
  const { fake, remote, facts, main } = openPair();
  const order: string[] = [];
  remote.changed.add(() => order.push(`changed after ${facts.length} facts`));
  main.report({ fact: 'member.suspected', member: 'a', afterMs: 600, why: null });
  fake.put(knownOf('a', { health: 'suspect' }));
  await until('told', () => order.length > 0);
  deepEqual(facts, [{ fact: 'member.suspected', member: 'a', afterMs: 600, why: null }]);
  deepEqual(order, ['changed after 1 facts']);
});

test('a second brings one pulse: what the thread has cost, and the last words of the members', async () => {
  const { fake, remote } = openPair();
  fake.put(knownOf('a', { heardAt: instant(1) }));
  await until('known', () => remote.member(a) !== null);
  fake.known.set(a, knownOf('a', { heardAt: instant(77) }));
  await until('heard', () => remote.member(a)?.heardAt === 77);
  equal(remote.pulse?.beatsHeard, 3);
});
