import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { memberId } from '../../src/std/member-id.ts';
import { wallTime } from '../../src/std/time.ts';
import { World } from './world.ts';

async function threeNodes(): Promise<World> {
  const world = new World();
  for (const name of ['i-1', 'i-2', 'i-3']) await world.start(name);
  await world.clock.run(5_000);
  return world;
}

/** The members that a node would send a request to. */
const serving = (world: World, name: string): string[] =>
  world.hosts
    .get(name)!
    .node.serving.models()
    .flatMap(({ ready }) => ready.map(({ member }) => `${member}`))
    .toSorted();

test('nodes that find each other by tag serve together within seconds', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  for (const name of world.hosts.keys()) deepEqual(serving(world, name), ['i-1', 'i-2', 'i-3']);
  deepEqual(world.hosts.get('i-1')!.node.serving.admission(), { open: true });
});

test('a new member is known to all within a second of its start', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  await world.start('i-4');
  await world.clock.run(1_000);
  for (const name of world.hosts.keys()) deepEqual(serving(world, name), ['i-1', 'i-2', 'i-3', 'i-4']);
});

test('a killed node is out of every routing table as its connections close, and dead within a second', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  world.kill('i-2');
  for (const name of ['i-1', 'i-3']) deepEqual(serving(world, name), ['i-1', 'i-3']);
  await world.clock.run(1_000);
  for (const name of ['i-1', 'i-3']) deepEqual(world.hosts.get(name)!.moves, ['i-2 suspect', 'i-2 dead']);
});

test('a node that stands still is out of routing within three seconds, and back with its first word', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  world.hosts.get('i-2')!.up = false;
  await world.clock.run(3_000);
  for (const name of ['i-1', 'i-3']) {
    deepEqual(serving(world, name), ['i-1', 'i-3']);
    deepEqual(world.hosts.get(name)!.moves, ['i-2 suspect']);
  }
  world.hosts.get('i-2')!.up = true;
  await world.clock.run(1_500);
  for (const name of ['i-1', 'i-3']) deepEqual(serving(world, name), ['i-1', 'i-2', 'i-3']);
});

test('[Y1] the key of an instance that EC2 lists no more is barred, and of one that is only suspect it is not', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  const barred: string[] = [];
  world.hosts.get('i-1')!.node.cluster.barred.add((peerId) => barred.push(peerId));
  world.hosts.get('i-2')!.up = false;
  await world.clock.run(3_000);
  deepEqual(world.hosts.get('i-1')!.moves, ['i-2 suspect']);
  world.hosts.get('i-2')!.up = true;
  await world.clock.run(2_000);
  deepEqual(barred, []);
  world.kill('i-2');
  await world.clock.run(180_000);
  deepEqual(barred, ['peer-i-2']);
});

test('[Y1] a member that tags itself an operator is no member of the registry any more', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  const record = () => world.hosts.get('i-1')!.node.cluster.member(memberId('i-2'))?.record;
  equal(record()?.role, 'worker');
  Object.assign(world.hosts.get('i-2')!.tags, { SynktiRole: 'operator' });
  await world.clock.run(120_000);
  equal(record(), null);
  deepEqual(serving(world, 'i-1'), ['i-1', 'i-3']);
  Object.assign(world.hosts.get('i-2')!.tags, { SynktiRole: 'worker' });
  await world.clock.run(120_000);
  equal(record()?.role, 'worker');
});

test('the load of an engine that stands still with work in hand is known to nobody', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  const loads = (): unknown[] =>
    [...world.hosts.values()].map(
      ({ node }) =>
        node.serving.models()[0]?.ready.find(({ member }) => member === memberId('i-2'))?.load?.running,
    );
  const { engine } = world.hosts.get('i-2')!;
  engine.running = 2;
  await world.clock.run(1_800);
  deepEqual(loads(), [2, 2, 2]);
  await world.clock.run(5_000);
  deepEqual(loads(), [undefined, undefined, undefined]);
  engine.generationTokens = 1;
  await world.clock.run(1_800);
  deepEqual(loads(), [2, 2, 2]);
});

test('an instance that may not tag itself is let in by nobody', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  await world.start('i-9', { tags: false });
  await world.clock.run(10_000);
  deepEqual(serving(world, 'i-1'), ['i-1', 'i-2', 'i-3']);
  const denials = () => world.hosts.get('i-1')!.facts.filter(({ fact }) => fact === 'peer.denied');
  deepEqual(denials(), [{ fact: 'peer.denied', peerId: 'peer-i-9', times: 1 }]);
  await world.clock.run(60_000);
  const later = denials().slice(1);
  ok(later.length > 0 && later.length <= 6, `${later.length} lines`);
  ok(later.some(({ times }) => Number(times) > 1));
});

test('[Y9] an instance that is listed first with the key of another hides that one from nobody', async (t) => {
  const world = new World();
  t.after(() => world.stop());
  const thief = await world.start('i-0', { tags: false });
  Object.assign(thief.tags, { SynktiCluster: 'test', SynktiPeerId: 'peer-i-2' });
  for (const name of ['i-1', 'i-2', 'i-3']) await world.start(name);
  await world.clock.run(10_000);
  for (const name of ['i-1', 'i-2', 'i-3']) deepEqual(serving(world, name), ['i-1', 'i-2', 'i-3']);
});

test('an interruption notice: admission off and peers told at once, goodbye in tags and record, then gone', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  const victim = world.hosts.get('i-2')!;
  const end = victim.node.serving.generating();
  victim.notice = {
    path: 'instance-action',
    action: 'terminate',
    time: wallTime(world.clock.wallNow() + 60_000),
  };
  await world.clock.run(600);
  equal(victim.node.serving.admission().open, false);
  for (const name of ['i-1', 'i-3']) deepEqual(world.hosts.get(name)!.moves, ['i-2 drain']);
  for (const name of world.hosts.keys()) deepEqual(serving(world, name), ['i-1', 'i-3']);

  let left = false;
  void victim.node.leaving.left.then(() => (left = true));
  await world.clock.run(5_000);
  equal(left, false, 'a generation still runs');
  end();
  await world.clock.run(100);
  equal(left, true);
  deepEqual(victim.tags, { SynktiState: 'left', SynktiNodeId: 'i-2' });
  const seen = world.hosts
    .get('i-1')!
    .node.cluster.members()
    .find(({ id }) => id === memberId('i-2'));
  equal(seen?.health, 'left');
});

test('[J8] who leaves says so when its logs are handed on, for which it has half of its goodbye', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  const { node, facts } = world.hosts.get('i-2')!;
  const handing = Promise.withResolvers<{ readonly orphaned: number; readonly taken: number }>();
  const times: number[] = [];
  const handOn: typeof node.handOn = (withinMs) => {
    times.push(withinMs);
    return handing.promise;
  };
  node.handOn = handOn;
  const seen = (): unknown =>
    world.hosts.get('i-1')!.node.cluster.member(memberId('i-2'))?.record?.life.phase;
  node.drain('operator', 60_000);
  await world.clock.run(500);
  equal(seen(), 'draining');
  handing.resolve({ orphaned: 2, taken: 1 });
  await world.clock.run(100);
  equal(seen(), 'left');
  const told = facts.findLast(({ fact }) => fact === 'drain.handedOn');
  deepEqual(told, { fact: 'drain.handedOn', orphaned: 2, taken: 1 });
  const hurried = world.hosts.get('i-3')!.node;
  hurried.handOn = handOn;
  hurried.drain('operator', 0);
  await world.clock.run(100);
  deepEqual(times, [1_500, 500]);
});

test('with EC2 out of reach the members that know each other go on, and nobody is lost', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  world.ec2 = false;
  await world.clock.run(120_000);
  for (const name of world.hosts.keys()) deepEqual(serving(world, name), ['i-1', 'i-2', 'i-3']);
});

test('a node that starts again while EC2 is out of reach is back at once among those that it remembers', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  await world.clock.run(60_000);
  world.ec2 = false;
  await world.clock.run(3_600_000);
  const { node } = world.hosts.get('i-2')!;
  world.kill('i-2');
  await node.close();
  await world.clock.run(5_000);
  await world.start('i-2');
  await world.clock.run(5_000);
  for (const name of world.hosts.keys()) deepEqual(serving(world, name), ['i-1', 'i-2', 'i-3']);
});

test('a node that starts again asks EC2 for nobody, and need not wait for it', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  // Just after the word of the last poller, and well before the next.
  await world.clock.run(30_000 - (world.clock.wallNow() % 30_000) + 18_000);
  const { node } = world.hosts.get('i-2')!;
  world.kill('i-2');
  await node.close();
  world.looks.length = 0;
  const again = await world.start('i-2');
  let entered = false;
  void again.node.cluster.looked.then(() => {
    entered = true;
  });
  await world.clock.run(8_000);
  equal(entered, true);
  deepEqual(serving(world, 'i-2'), ['i-1', 'i-2', 'i-3']);
  deepEqual(world.looks, []);
});

test('who said goodbye remembers nobody: it tags itself before it comes back', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  const { node } = world.hosts.get('i-2')!;
  node.drain('operator', 5_000);
  await world.clock.run(20_000);
  await node.close();
  world.ec2 = false;
  world.kill('i-2');
  await world.start('i-2');
  await world.clock.run(10_000);
  deepEqual(serving(world, 'i-1'), ['i-1', 'i-3']);
  world.ec2 = true;
  await world.clock.run(120_000);
  deepEqual(serving(world, 'i-1'), ['i-1', 'i-2', 'i-3']);
});

test('a burst between two load reports is counted where it was sent', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  const { serving: seen } = world.hosts.get('i-1')!.node;
  const ends = Array.from({ length: 5 }, () => seen.sent(memberId('i-2')));
  const unreported = (): number | undefined =>
    seen.models()[0]?.ready.find(({ member }) => member === memberId('i-2'))?.unreported;
  equal(unreported(), 5);
  await world.clock.run(100);
  seen.heardLoad(memberId('i-2'), { running: 5, waiting: 0 });
  equal(unreported(), 0);
  ends.push(seen.sent(memberId('i-2')));
  equal(unreported(), 1);
  for (const end of ends) end();
  equal(unreported(), 0);
});

test('[E13] what begins here after the last look at the engine waits there, if others did', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  const { node, engine } = world.hosts.get('i-1')!;
  const ends = Array.from({ length: 42 }, () => node.serving.generating());
  deepEqual(node.serving.localLoad(), { running: 42, waiting: 0, kvUsage: 0 });
  Object.assign(engine, { running: 40, waiting: 2, generationTokens: 1 });
  await world.clock.run(2_000);
  deepEqual(node.serving.localLoad(), { running: 40, waiting: 2, kvUsage: 0 });
  for (let i = 0; i < 30; i++) ends.push(node.serving.generating());
  deepEqual(node.serving.localLoad(), { running: 40, waiting: 32, kvUsage: 0 });
  for (const end of ends.splice(0, 32)) end();
  equal(node.serving.localLoad()?.waiting, 0);
});

test('an engine of which no load is known has at least what was begun on it here', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  const { node, engine } = world.hosts.get('i-1')!;
  node.serving.generating();
  engine.frozen = true;
  await world.clock.run(4_000);
  const [own] = node.serving.models()[0]!.ready;
  deepEqual([own?.self, own?.load, own?.unreported], [true, null, 1]);
});

test('a member whose stream fell silent is asked last for ten seconds', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  const { moves, node } = world.hosts.get('i-1')!;
  const load = (): unknown =>
    node.serving.models()[0]?.ready.find(({ member }) => member === memberId('i-2'))?.load?.running;
  equal(load(), 0);
  node.serving.doubt(memberId('i-2'));
  deepEqual([load(), moves], [undefined, ['i-2 silence']]);
  await world.clock.run(9_000);
  equal(load(), undefined);
  await world.clock.run(1_500);
  equal(load(), 0);
});

test('what an engine that answers nothing has not begun is asked elsewhere, within four seconds', async (t) => {
  const world = await threeNodes();
  t.after(() => world.stop());
  world.hosts.get('i-2')!.engine.frozen = true;
  await world.clock.run(4_000);
  for (const name of world.hosts.keys()) {
    const { moves, node } = world.hosts.get(name)!;
    deepEqual(moves, ['i-2 silence']);
    const seen = node.serving.models()[0]?.ready.find(({ member }) => member === memberId('i-2'));
    equal(seen?.load, null);
  }
});

test('a node that cannot tag itself for minutes tries on, a few times a minute', async (t) => {
  const world = new World();
  t.after(() => world.stop());
  world.ec2 = false;
  const { facts } = await world.start('i-1');
  await world.clock.run(120_000);
  const tries = facts.filter(({ fact }) => fact === 'node.untagged').length;
  ok(tries >= 6 && tries <= 20, String(tries));
  world.ec2 = true;
  await world.clock.run(25_000);
  equal(world.hosts.get('i-1')!.tags['SynktiNodeId'], 'i-1');
});

test('a node that may not tag itself goes on, and is a member some minutes after it may', async (t) => {
  const world = new World();
  t.after(() => world.stop());
  await world.start('i-1');
  world.mayTag = false;
  const { facts, tags } = await world.start('i-2');
  await world.clock.run(280_000);
  const denials = (): number => facts.filter(({ fact }) => fact === 'node.untagged').length;
  equal(denials(), 1);
  ok(
    facts.some(({ fact }) => fact === 'node.serving'),
    'it did not wait',
  );
  await world.clock.run(600_000);
  ok(denials() >= 2 && denials() <= 4, String(denials()));
  world.mayTag = true;
  await world.clock.run(660_000);
  equal(tags['SynktiNodeId'], 'i-2');
  equal(world.hosts.get('i-1')!.node.cluster.member(memberId('i-2'))?.health, 'alive');
});

test('where members differ in context the longest counts, whoever asks: an answer that needs it has not ended before', async (t) => {
  const world = new World();
  t.after(() => world.stop());
  await world.start('i-1', { contextTokens: 4_096 });
  await world.start('i-2', { contextTokens: 8_192 });
  await world.clock.run(5_000);
  for (const { node } of world.hosts.values()) equal(node.serving.model('m')?.contextTokens, 8_192);
});

test('[R6] a model whose only member is suspect or dead is nobody’s just now; five minutes later it is unknown', async (t) => {
  const world = new World();
  t.after(() => world.stop());
  await world.start('i-1', { model: 'other' });
  await world.start('i-2');
  await world.clock.run(5_000);
  const { serving: asked } = world.hosts.get('i-1')!.node;
  const listed = (): boolean => asked.models().some(({ id }) => id === 'm');
  const ready = (): number | undefined => asked.model('m')?.ready.length;
  deepEqual([listed(), ready()], [true, 1]);
  world.kill('i-2');
  deepEqual([listed(), ready()], [true, 0]);
  await world.clock.run(10_000);
  equal(world.hosts.get('i-1')!.node.cluster.member(memberId('i-2'))?.health, 'dead');
  deepEqual([listed(), ready()], [false, 0]);
  await world.clock.run(280_000);
  equal(ready(), 0);
  await world.clock.run(15_000);
  deepEqual([listed(), ready()], [false, undefined]);
});

test('[R6] a model whose only member has left is nobody’s until another one starts', async (t) => {
  const world = new World();
  t.after(() => world.stop());
  await world.start('i-1', { model: 'other' });
  const { node: leaving } = await world.start('i-2');
  await world.clock.run(5_000);
  const { serving: asked } = world.hosts.get('i-1')!.node;
  leaving.drain('operator', 10_000);
  await world.clock.run(120_000);
  deepEqual([asked.model('m')?.ready, asked.model('nobody’s')], [[], null]);
  await world.start('i-3');
  await world.clock.run(40_000);
  deepEqual(asked.model('m')?.ready.length, 1);
});
