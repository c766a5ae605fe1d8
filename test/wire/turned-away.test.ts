import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { FrameWriter, kinds } from '../../src/wire/frames.ts';
import { until } from '../gateway/fake-cluster.ts';
import { ask, line } from './ends.ts';

test('who leaves turns away what it has not taken, whether calls of before still run or the line closes at once', async (t) => {
  for (const runs of [true, false]) {
    const ends = line(t, (call) => call.answer(200, {}));
    const before = runs ? ask(ends, '/before') : null;
    await until(() => before === null || before.status === 200, 'it has begun');
    ends.answering.leave();
    // Asked before the word of it has come.
    const late = ask(ends, '/late');
    await until(() => late.end === 'lost', 'it is told');
    deepEqual([late.kind, late.why], ['busy', 'call: busy: leaving']);
    equal(before?.end ?? 'none', 'none');
  }
});

test('a call beyond what a line takes is turned away, and those that are taken go on', async (t) => {
  const ends = line(t);
  const taken = Array.from({ length: 8_192 }, (_, i) => ask(ends, `/${i}`));
  const beyond = ask(ends, '/beyond');
  await until(() => beyond.end === 'lost', 'it is told', 30_000);
  deepEqual([beyond.kind, beyond.why], ['busy', 'call: busy: full']);
  ok(taken.every(({ end }) => end === 'none'));
});

test('whoever answered has begun, whatever its reset says', async (t) => {
  const ends = line(t, (call) => call.answer(200, {}));
  const heard = ask(ends, '/');
  await until(() => heard.status === 200, 'it has begun');
  const writer = new FrameWriter();
  writer.frame(kinds.reset, 1, Buffer.from('full'));
  ends.sockets[1].write(writer.take());
  await until(() => heard.end === 'lost', 'it is told');
  equal(heard.kind, 'unreachable');
});
