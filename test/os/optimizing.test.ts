import { deepEqual, equal } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { optimizeWithWork } from '../../src/os/optimizing.ts';

const source = JSON.stringify(new URL('../../src/os/optimizing.ts', import.meta.url).href);

test('V8 is told once, and not before a node has something to do', () => {
  const told: string[] = [];
  const work = optimizeWithWork((flag) => told.push(flag));
  for (let ask = 1; ask < 30; ask++) work();
  deepEqual(told, []);
  work();
  equal(told.length, 3);
  for (let ask = 1; ask < 1_000; ask++) work();
  equal(told.length, 3);
});

test('V8 goes by it while it runs: it optimizes well what it has called a few hundred times', () => {
  // Compiling at once, on this thread; 64 is `kTurboFanned` (V8, src/runtime/runtime.h).
  const optimizesAfter = (asks: number): string =>
    run(`
      const { optimizeWithWork } = await import(${source});
      const work = optimizeWithWork();
      for (let ask = 0; ask < ${asks}; ask++) work();
      const called = (n) => n * 2 + 1;
      for (let call = 0; call < 1500; call++) called(call);
      console.log((%GetOptimizationStatus(called) & 64) !== 0);
    `);
  deepEqual([optimizesAfter(0), optimizesAfter(30)], ['false\n', 'true\n']);
});

function run(code: string): string {
  const flags = ['--allow-natives-syntax', '--no-concurrent-recompilation', '--no-use-osr'];
  const args = [...flags, '--input-type=module', '--eval', code];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  return stderr + stdout;
}
