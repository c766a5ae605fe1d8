import { equal, ok } from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { preferThread } from '../../src/os/priority.ts';

const mayPrefer = process.platform === 'linux' && process.getuid?.() === 0;

test('a thread is preferred by its name, and no other', { skip: !mayPrefer && 'takes root' }, async (t) => {
  const source = "require('node:worker_threads').parentPort.on('message', () => {}).postMessage('up')";
  const worker = new Worker(source, { eval: true, name: 'listener' });
  t.after(() => worker.terminate());
  await new Promise((resolve) => worker.once('message', resolve));
  const before = getPriority();
  equal(preferThread('listener'), true);
  const named = readdirSync('/proc/self/task').find(
    (tid) => readFileSync(`/proc/self/task/${tid}/comm`, 'utf8').trim() === 'listener',
  );
  ok(getPriority(Number(named)) < before);
  equal(getPriority(), before);
});

test('a name that no thread has is no failure', () => equal(preferThread('nobody'), false));
