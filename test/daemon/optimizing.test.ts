import { equal, match } from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { listingOf, makeMachine, RunningNode } from '../roster/processes.ts';

/** Is loaded before the node, and writes down what V8 is told while it runs. */
const listening = (file: string): string => `
  import { appendFileSync } from 'node:fs';
  import { syncBuiltinESMExports } from 'node:module';
  import v8 from 'node:v8';
  v8.setFlagsFromString = (flag) => appendFileSync(${JSON.stringify(file)}, flag + '\\n');
  syncBuiltinESMExports();
`;

test('a node that has asked its engine for clients some tens of times has V8 optimize', async (t) => {
  const machine = await makeMachine('busy');
  const file = join(machine.dataDir, 'told');
  const code = `data:text/javascript,${encodeURIComponent(listening(file))}`;
  const args = ['--engine', 'simulated', '--peers', listingOf(machine)];
  const node = await RunningNode.start(machine, args, { NODE_OPTIONS: `--import=${code}` });
  t.after(() => node.stop());
  await node.fact(({ fact }) => fact === 'engine.ready');
  const ask = async (): Promise<void> => {
    const body = JSON.stringify({ model: 'simulated', prompt: 'hello' });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${node.url}/tokenize`, { method: 'POST', body, headers });
    equal(answer.status, 200, await answer.text());
  };
  for (let times = 0; times < 5; times++) await ask();
  equal(existsSync(file), false);
  for (let times = 0; times < 40; times++) await ask();
  const told = readFileSync(file, 'utf8').trim().split('\n');
  equal(told.length, 3);
  match(told.join(' '), /turbofan/);
});
