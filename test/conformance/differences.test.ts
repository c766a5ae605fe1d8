import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differencesBetween, judge, type Wanted } from './differences.ts';
import { shapeOf, skeleton } from './shape.ts';

const recorded = { status: 200, body: { id: 'cmpl-*', choices: [{ text: 'string' }] } };
const wanted: readonly Wanted[] = [
  { exchange: 'completion', path: '/body/choices', reason: 'for this test' },
];

void test('what is missing, new or of another type is found, with its place', () => {
  const seen = { status: '200', body: { id: 'cmpl-*', choices: [{}], usage: 'null' } };
  assert.deepEqual(
    differencesBetween(recorded, seen).map(({ path }) => path),
    ['/status', '/body/choices/0/text', '/body/usage'],
  );
});

void test('the order of keys counts, and nothing else does when all are there', () => {
  const [difference, ...others] = differencesBetween({ a: 1, b: 2 }, { b: 2, a: 1 });
  assert.deepEqual(difference, { path: '', recorded: 'keys a b', seen: 'keys b a' });
  assert.deepEqual(others, []);
});

void test('a wanted difference covers what lies below it and no more', () => {
  const seen = { status: 500, body: { id: 'cmpl-*', choices: [{ text: 'null' }] } };
  const { faults, outdated } = judge('completion', differencesBetween(recorded, seen), wanted);
  assert.deepEqual(
    faults.map(({ path }) => path),
    ['/status'],
  );
  assert.deepEqual(outdated, []);
});

void test('a wanted difference that no longer occurs is told', () => {
  assert.deepEqual(judge('completion', differencesBetween(recorded, recorded), wanted).outdated, wanted);
  assert.deepEqual(judge('chat', [], wanted).outdated, [], 'it belongs to another exchange');
});

void test('a shape keeps keys, types and fixed words, and forgets texts, ids and how many', () => {
  const shape = skeleton(
    {
      id: 'chatcmpl-833a2f11ee922364',
      object: 'chat.completion',
      choices: [
        { text: 'a', finish_reason: 'stop', token_ids: [1, 2] },
        { text: 'b', finish_reason: 'stop', token_ids: [3] },
      ],
      usage: null,
    },
    'tiny',
  );
  assert.deepEqual(shape, {
    id: 'chatcmpl-*',
    object: 'chat.completion',
    choices: [{ text: 'string', finish_reason: 'stop', token_ids: ['number'] }],
    usage: 'null',
  });
});

void test('a stream is the kinds of its chunks in order, each choice by itself, however many of a kind there are', () => {
  const chunk = (index: number, reason: string | null): string =>
    `data: ${JSON.stringify({ choices: [{ index, finish_reason: reason }] })}\n\n`;
  const stream = (chunks: readonly string[]) =>
    shapeOf(
      {
        status: 200,
        headers: { 'content-type': 'text/event-stream; charset=utf-8' },
        body: `${chunks.join('')}data: [DONE]\n\n`,
        end: 'complete',
      },
      'tiny',
    );
  const short = stream([chunk(0, null), chunk(1, null), chunk(1, 'stop'), chunk(0, 'stop')]);
  const long = stream([chunk(1, null), chunk(0, null), chunk(0, null), chunk(0, 'stop'), chunk(1, 'stop')]);
  assert.deepEqual(differencesBetween(short, long), []);
  assert.notDeepEqual(differencesBetween(short, stream([chunk(0, 'stop'), chunk(1, 'stop')])), []);
});
