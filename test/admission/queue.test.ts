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

test('[A8] of one key the lowest priority number goes first, whatever else of it waits', () => {
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

test('[A8] no key gets more than its turns by calling its requests urgent', () => {
  const queue = newQueue<Entry>();
  for (const name of ['a1', 'a2']) enqueue(queue, entry(name, 'a'));
  for (const name of ['b1', 'b2', 'b3']) enqueue(queue, entry(name, 'b', -1_000));
  deepEqual(drained(queue), ['a1', 'b1', 'a2', 'b2', 'b3']);
});

test('[A8] a key that comes anew takes its turns with those that got much while it was away', () => {
  const queue = newQueue<Entry>();
  for (let i = 0; i < 600; i++) enqueue(queue, entry(`a${i}`, 'a'));
  for (let i = 0; i < 500; i++) next(queue);
  for (const name of ['b1', 'b2', 'b3']) enqueue(queue, entry(name, 'b'));
  deepEqual(
    [1, 2, 3, 4].map(() => next(queue)?.name),
    ['a500', 'b1', 'a501', 'b2'],
  );
});

test('[A8] a key that comes again and again, one request at a time, gets no more turns than one that stays', () => {
  const queue = newQueue<Entry>();
  for (let i = 0; i < 6; i++) enqueue(queue, entry(`a${i}`, 'a'));
  for (let i = 0; i < 3; i++) enqueue(queue, entry(`c${i}`, 'c'));
  enqueue(queue, entry('b', 'b'));
  const turns: (string | undefined)[] = [];
  for (let i = 0; i < 9; i++) {
    const key = next(queue)?.key;
    turns.push(key);
    if (key === 'b') enqueue(queue, entry('b', 'b'));
  }
  deepEqual(turns.toSorted(), ['a', 'a', 'a', 'b', 'b', 'b', 'c', 'c', 'c']);
});

test('[A8] who comes to an empty queue finds nothing of what was before', () => {
  const queue = newQueue<Entry>();
  for (const name of ['a1', 'a2', 'a3']) enqueue(queue, entry(name, 'a'));
  next(queue);
  next(queue);
  expire(queue, instant(1_000));
  for (const one of [entry('a4', 'a'), entry('b1', 'b'), entry('a5', 'a')]) enqueue(queue, one);
  deepEqual(drained(queue), ['a4', 'b1', 'a5']);
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
