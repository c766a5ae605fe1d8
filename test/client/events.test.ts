import { deepEqual, equal } from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'node:test';
import { EventSplitter } from '../../src/client/events.ts';

test('events are cut out alike, wherever the pieces of their stream end', () => {
  const events = [
    'id: a.1.x\ndata: one\n\n',
    'id: a.2.y\r\ndata: t☕o\r\n\r\n',
    ': a comment\r\r',
    'event: message_stop\ndata: {}\n\n',
  ];
  const stream = new TextEncoder().encode(`${events.join('')}data: be`);
  for (let size = 1; size <= stream.length; size++) {
    const splitter = new EventSplitter();
    const heard = [];
    for (let at = 0; at < stream.length; at += size)
      heard.push(...splitter.feed(stream.subarray(at, at + size)));
    deepEqual(
      heard.map(({ text }) => text),
      events,
    );
    deepEqual(
      heard.map(({ id }) => id),
      ['a.1.x', 'a.2.y', null, null],
    );
    deepEqual(
      heard.map(({ isLast }) => isLast),
      [false, false, false, true],
    );
    deepEqual(
      heard.map(({ isComment }) => isComment),
      [false, false, true, false],
    );
    equal(splitter.rest(), 'data: be');
  }
});

// Searched anew with each of its pieces, it would take minutes.
test('an event of four megabytes in small pieces takes time by its length', { timeout: 20_000 }, async () => {
  const splitter = new EventSplitter();
  const piece = new TextEncoder().encode('x'.repeat(64));
  const pieces = 2 ** 16;
  for (let i = 0; i < pieces; i++) {
    deepEqual(splitter.feed(piece), []);
    // Lets its time run out.
    if (i % 256 === 0) await turn();
  }
  const [event] = splitter.feed(new TextEncoder().encode('\n\n'));
  equal(event?.text.length, pieces * piece.length + 2);
});
