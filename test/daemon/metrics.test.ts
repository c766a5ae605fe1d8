import { equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { gauges, totals } from '../../src/node/facts.ts';
import { listingOf, makeMachine, RunningNode } from '../roster/processes.ts';

/** Where no engine runs nobody asks one. */
const ofEngines = /^synkti_engine_requests_/;

test('a node tells every gauge and total that there is, its phase among them', async (t) => {
  const machine = await makeMachine('alone');
  const node = await RunningNode.start(machine, ['--role', 'edge', '--peers', listingOf(machine)]);
  t.after(() => node.stop());
  await node.fact(({ fact }) => fact === 'node.started');
  while (!(await fetch(`${node.url}/readyz`)).ok);
  let text: string;
  // What its thread tells comes each second.
  do text = await (await fetch(`${node.url}/metrics`)).text();
  while (!/^synkti_membership_lag_seconds /m.test(text));
  for (const name of [...Object.keys(gauges), ...Object.keys(totals)])
    equal(new RegExp(`^${name}(\\{.*\\})? [\\d.e+]+$`, 'm').test(text), !ofEngines.test(name), name);
  match(text, /^synkti_node_phase\{phase="serving"\} 1$/m);
  match(text, /^synkti_engine_phase\{phase="none"\} 1$/m);
  match(text, /^synkti_members\{health="alive"\} 1$/m);
});
