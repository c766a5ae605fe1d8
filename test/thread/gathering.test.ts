import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Gathering } from '../../src/thread/gathering.ts';
import type { News } from '../../src/thread/messages.ts';
import { memberId } from '../../src/std/member-id.ts';
import { FakeCluster, knownOf } from './fake-cluster.ts';

function open() {
  const cluster = new FakeCluster();
  const batches: News[] = [];
  const gathering = new Gathering(cluster, (news) => batches.push(news));
  cluster.changed.add((id) => gathering.changed(id));
  return { cluster, batches, gathering };
}

test('while nobody takes the news there is one batch, and a thousand changes wait as one', async () => {
  const { cluster, batches, gathering } = open();
  cluster.put(knownOf('a'));
  await turn();
  for (let i = 0; i < 1_000; i++) {
    cluster.put(knownOf('a', { zone: `zone ${i}` }));
    await turn();
  }
  equal(batches.length, 1);
  gathering.taken();
  equal(batches.length, 2);
  deepEqual(
    batches[1]!.members.map(({ zone }) => zone),
    ['zone 999'],
  );
});

test('nothing that did not change is told again', async () => {
  const { cluster, batches, gathering } = open();
  cluster.put(knownOf('a'));
  cluster.put(knownOf('b'));
  await turn();
  gathering.taken();
  cluster.put(knownOf('b', { health: 'suspect' }));
  await turn();
  gathering.taken();
  gathering.taken();
  await turn();
  deepEqual(
    batches.map(({ own, members }) => [own !== null, members.map(({ id }) => id)]),
    [
      [true, ['a', 'b']],
      [false, ['b']],
    ],
  );
});

test('facts that nobody takes are kept up to a bound, and what was lost is counted', async () => {
  const { batches, gathering } = open();
  gathering.looked();
  await turn();
  for (let i = 0; i < 1_010; i++) gathering.fact({ fact: 'peer.refused', i });
  await turn();
  gathering.taken();
  const { facts } = batches[1]!;
  deepEqual(
    [facts[0], facts.at(-1)],
    [
      { fact: 'peer.refused', i: 10 },
      { fact: 'membership.unheard', facts: 10 },
    ],
  );
});

test('an own record that was refuted is told with whatever comes next', async () => {
  const { cluster, batches, gathering } = open();
  gathering.changed(memberId('x'));
  await turn();
  gathering.taken();
  cluster.revise({ life: { phase: 'serving' } });
  gathering.pulse({ cpuSeconds: 0, beatsSent: 0, beatsHeard: 0, bytesSent: 0, lagSeconds: 0 });
  await turn();
  equal(batches[1]!.own?.record.life.phase, 'serving');
});
