import { equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { makeMachine, RunningNode } from '../roster/processes.ts';

test('SIGHUP ends no node, and says so where there is nothing to read again; SIGTERM does', async () => {
  const machine = await makeMachine('alone');
  const listed = `alone=${machine.peerId}@127.0.0.1:${machine.p2pPort}`;
  const node = await RunningNode.start(machine, ['--role', 'edge', '--peers', listed]);
  await node.fact(({ fact }) => fact === 'node.started');
  node.signal('SIGHUP');
  await node.fact(({ fact, why }) => fact === 'keys.absent' && /nothing|no list/.test(String(why)));
  equal(await node.stop(), 0);
  const drains = node.facts.flatMap(({ fact, reason }) => (fact === 'drain.started' ? [reason] : []));
  equal(drains.length, 1);
  const order = node.facts.map(({ fact }) => fact).join(' ');
  match(order, /keys\.absent .*keys\.absent .*drain\.started/);
});
