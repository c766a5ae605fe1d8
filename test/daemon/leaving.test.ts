import { deepEqual, equal, ok } from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connectControl } from '../../src/control/client.ts';
import { processes } from '../../src/os/processes.ts';
import { until } from '../conformance/until.ts';
import { listingOf, makeMachine, RunningNode } from '../roster/processes.ts';

test('[D6] a node that has no time to leave has killed and swept its engine when it has left', async (t) => {
  const machine = await makeMachine('hurried');
  const node = await RunningNode.start(machine, ['--engine', 'simulated', '--peers', listingOf(machine)]);
  t.after(() => node.stop());
  const pid = Number((await node.fact(({ fact }) => fact === 'engine.spawned'))['pid']);
  t.after(() => processes.startOf(pid) === null || process.kill(pid, 'SIGKILL'));
  // An engine that starts loses a SIGTERM, and one that stands still hears none.
  process.kill(pid, 'SIGSTOP');
  await connectControl(machine.dataDir).drain('operator', 0);
  const { clean } = await node.fact(({ fact }) => fact === 'drain.left');
  equal(clean, true);
  await node.fact(({ fact }) => fact === 'node.stopped');
  // A kernel that is busy takes a killed process apart in its own time.
  ok(await until(() => processes.startOf(pid) === null, 5_000), 'the engine is gone');
  const left = ['engine.json', 'engine.sock'].filter((name) => existsSync(join(machine.dataDir, name)));
  deepEqual(left, []);
});
