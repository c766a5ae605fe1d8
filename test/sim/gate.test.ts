/** Who is let in, judged by what EC2 really has of it: I9 is broken by a gate that stands open, and by no other. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { wireCodec } from '../../src/node/message.ts';
import { onceEach } from './carriage.ts';
import { Checks } from './checks.ts';
import { SimProcess } from './process.ts';
import { membershipOnly } from './resident.ts';
import { run } from './run.ts';
import type { Sabotage } from './sabotage.ts';
import { World } from './world.ts';

const tagged = (peerId: string) => ({ SynktiCluster: 'sim', SynktiRole: 'worker', SynktiPeerId: peerId });

/** Three nodes that know each other, and a process of nobody's with a key and tags of its own. */
async function knock(
  sabotage: Sabotage | null,
  before: (world: World, id: string) => void,
): Promise<{ readonly outcome: string; readonly broken: readonly string[] }> {
  const checks: Checks = new Checks(() => world, 3);
  const world: World = new World({
    ...{ seed: 1, sabotage, isMail: () => false },
    inhabit: membershipOnly({ withDuty: false, codec: onceEach(wireCodec) }),
    onFact: (resident, fact) => checks.onFact(resident, fact),
    onChanged: (resident, id) => checks.onChanged(resident, id),
    onStart: (resident) => checks.onStart(resident),
    onApplied: () => undefined,
  });
  world.network.onAdmitted = (gate, comer) => checks.onAdmitted(gate, comer);
  for (let i = 0; i < 3; i++) world.start(world.launch(null));
  await world.run(10_000, () => false);
  equal(checks.isWhole(), true);

  const host = world.launch(null);
  const { queue, digest } = world;
  const process = new SimProcess(-1, { queue, digest, drift: { rate: 1, wallOffsetMs: 0 } });
  const peerId = `peer-${host.id}`;
  const none = () => undefined;
  const events = { connected: none, disconnected: none, message: none, admit: () => Promise.resolve(true) };
  const network = world.network.open(peerId, { host, process }, events);
  before(world, host.id);
  const [{ peerId: to, host: its }] = world.living() as [ReturnType<World['living']>[0]];
  let outcome = 'nothing came of it';
  process.receive(world.now, () => {
    network.dial({ peerId: to, address: { host: its.ip, port: 4001 } }, new AbortController().signal).then(
      () => (outcome = 'let in'),
      (error: Error) => (outcome = error.message),
    );
  });
  await world.run(world.now + 15_000, () => false);
  return { outcome, broken: checks.violations.map(({ invariant, what }) => `${invariant} ${what}`) };
}

const cases: readonly (readonly [who: string, before: (world: World, id: string) => void])[] = [
  ['one that has no tags', () => undefined],
  ['one whose tags have another key', (world, id) => world.ec2.tag(id, tagged('peer-of-another'))],
  [
    'one whose instance has ended',
    (world, id) => {
      world.ec2.tag(id, tagged(`peer-${id}`));
      world.ec2.terminate(id);
    },
  ],
];

for (const [who, before] of cases)
  test(`${who} is let in by a gate that stands open, which breaks I9, and by no other`, async () => {
    const open = await knock('open-door', before);
    equal(open.outcome, 'let in');
    equal(open.broken.length, 1);
    match(open.broken[0]!, /^I9 i-\w+ lets in peer-i-\w+, which no running instance has named$/);
    const { outcome, broken } = await knock(null, before);
    match(outcome, /denied: turned away/);
    deepEqual(broken, []);
  });

test('one whose running instance has its key in its tags is let in, and breaks nothing', async () => {
  const named = (world: World, id: string): void => world.ec2.tag(id, tagged(`peer-${id}`));
  for (const sabotage of [null, 'open-door'] as const)
    deepEqual(await knock(sabotage, named), { outcome: 'let in', broken: [] });
});

test('strangers of a schedule break I9 where gates stand open', async () => {
  const { violations } = await run({
    ...{ seed: 1, nodes: 6, minutes: 1.5, kinds: ['stranger'], only: null, sabotage: 'open-door' },
    ...{ streams: 0, watch: null },
  });
  equal(violations[0]?.invariant, 'I9');
  match(violations[0].what, /lets in stranger-\d/);
});
