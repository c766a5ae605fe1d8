import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { enqueue, expire, newQueue, next, type Queue, type Waiting } from '../../src/admission/queue.ts';
import { instant } from '../../src/std/time.ts';

type Entry = Waiting & { readonly name: string };

const entry = (name: string, key: string, priority = 0, until = 1_000): Entry => ({
  ...{ name, key, priority, until: instant(until) },
});

function drained(queue: Queue<Entry>): readonly string[] {
  const names: string[] = [];
  for (let one = next(queue); one !== null; one = next(queue)) names.push(one.name);
  return names;
}

test('[A8] the lowest priority number goes first, whatever else waits', () => {
  const queue = newQueue<Entry>();
  for (const one of [entry('a', 'k', 5), entry('b', 'k'), entry('c', 'k', -1)]) enqueue(queue, one);
  deepEqual(drained(queue), ['c', 'b', 'a']);
});

test('[A8] keys take turns, however many of one were there first, each in the order of coming', () => {
  const queue = newQueue<Entry>();
  for (const name of ['a1', 'a2', 'a3', 'a4']) enqueue(queue, entry(name, 'a'));
  for (const name of ['b1', 'b2']) enqueue(queue, entry(name, 'b'));
  deepEqual(drained(queue), ['a1', 'b1', 'a2', 'b2', 'a3', 'a4']);
});

test('[A8] a key that got much while another was away does not get more than its part afterwards', () => {
  const queue = newQueue<Entry>();
  for (let i = 0; i < 600; i++) enqueue(queue, entry(`a${i}`, 'a'));
  for (let i = 0; i < 500; i++) next(queue);
  for (const name of ['b1', 'b2', 'b3']) enqueue(queue, entry(name, 'b'));
  deepEqual(
    [1, 2, 3].map(() => next(queue)?.name),
    ['b1', 'b2', 'b3'],
  );
});

test('[A7] who waited until the deadline is let go, and nobody else', () => {
  const queue = newQueue<Entry>();
  enqueue(queue, entry('late', 'k', 0, 10));
  enqueue(queue, entry('patient', 'k', 0, 20));
  deepEqual(
    expire(queue, instant(10)).map(({ name }) => name),
    ['late'],
  );
  deepEqual(drained(queue), ['patient']);
});

test('[A9] a full queue makes room for a key that has few by letting go the newest of the key that has most', () => {
  const queue = newQueue<Entry>();
  for (let i = 0; i < 1_024; i++) equal(enqueue(queue, entry(`a${i}`, 'a')), null);
  equal(enqueue(queue, entry('b1', 'b'))?.name, 'a1023');
  equal(enqueue(queue, entry('a1024', 'a'))?.name, 'a1024');
  equal(queue.waiting.length, 1_024);
  equal(next(queue)?.name, 'a0');
  equal(next(queue)?.name, 'b1');
});
