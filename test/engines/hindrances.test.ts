/** What goes wrong around an engine, and says nothing of it. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { openHindrances } from '../../src/engines/hindrances.ts';
import type { Fact } from '../../src/node/facts.ts';
import { Bench, until } from './bench.ts';

const program = fileURLToPath(new URL('out-of-descriptors.ts', import.meta.url));
/** More than Node.js itself needs, and soon used up. */
const descriptors = 64;

test('what fails again and again is told when it begins and when it works again, each for itself', () => {
  const facts: Fact[] = [];
  const { failed, worked } = openHindrances((fact) => facts.push(fact));
  worked('watch');
  for (let i = 0; i < 3; i++) failed('watch', new Error(`no descriptor ${i}`));
  failed('output', 'no room');
  worked('watch');
  worked('watch');
  failed('watch', new Error('again'));
  deepEqual(facts, [
    { fact: 'engine.hindered', what: 'watch', cause: 'no descriptor 0' },
    { fact: 'engine.hindered', what: 'output', cause: 'no room' },
    { fact: 'engine.unhindered', what: 'watch', times: 3 },
    { fact: 'engine.hindered', what: 'watch', cause: 'again' },
  ]);
});

test('a ledger that could not be written is written once it can be: the engine is adopted after all', async (t) => {
  const bench = new Bench();
  t.after(() => bench.clear());
  const obstacle = join(bench.dataDir, 'engine.json.new');
  mkdirSync(obstacle);
  const first = await bench.daemon(bench.spec()).ready();
  const ledger = join(bench.dataDir, 'engine.json');
  equal(existsSync(ledger), false);
  rmdirSync(obstacle);
  await until(
    () => existsSync(ledger),
    () => 'written',
  );
  await first.crash();
  const second = await bench.daemon(bench.spec()).ready();
  equal(second.facts('engine.adopted').length, 1);
});

test(
  'a node without descriptors goes on, holds no engine for gone, and says once that it cannot look',
  { skip: process.platform !== 'linux' },
  async (t) => {
    const bench = new Bench();
    t.after(() => bench.clear());
    const spec = bench.spec();
    const first = await bench.daemon(spec).ready();
    await first.crash();
    const { stdout } = await promisify(execFile)('sh', [
      '-c',
      `ulimit -n ${descriptors}; exec "$@"`,
      ...['sh', process.execPath, program, bench.dataDir, bench.nodeId, JSON.stringify(spec)],
    ]);
    const said = JSON.parse(stdout) as Readonly<Record<'untilHere' | 'events', string[]>> & {
      readonly facts: readonly Fact[];
    };
    deepEqual([said.untilHere, said.events], [['adopted'], ['adopted', 'exited']]);
    const [blind, deaf, again, ...others] = said.facts;
    deepEqual([blind?.['what'], deaf?.['what'], again?.['what']], ['watch', 'kill', 'watch']);
    for (const { cause } of [blind!, deaf!]) ok(String(cause).includes('EMFILE'), String(cause));
    ok(Number(again?.['times']) >= 4);
    deepEqual(others, [{ fact: 'engine.unhindered', what: 'kill', times: 1 }]);
    equal((await bench.processes()).length, 0);
  },
);
