import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { createParser } from 'eventsource-parser';
import fc from 'fast-check';
import { EventReader } from '../../src/gateway/event-reader.ts';

function read(parts: readonly Buffer[]): readonly string[] {
  const events: string[] = [];
  const reader = new EventReader((data) => events.push(data));
  for (const part of parts) reader.read(part);
  return events;
}

function parsed(text: string): readonly string[] {
  const events: string[] = [];
  createParser({ onEvent: ({ data }) => events.push(data) }).feed(text);
  return events;
}

test('events are those that the format says, however engines write them and wherever their bytes are cut', () => {
  const event = fc.oneof(
    fc.string({ unit: 'grapheme' }).map((data) => `data: ${data.replace(/[\r\n]/g, ' ')}\n\n`),
    fc.constantFrom(': a comment\n\n', 'data: a\ndata: b\n\n', 'data:tight\n\n', 'event: x\ndata: y\n\n'),
    fc.constantFrom('data: a\r\n\r\n', '\n', 'data: é\n\n', 'data: \n\n', 'data: a\rdata: b\n\n'),
  );
  const cut = fc.oneof(fc.nat(8), fc.constant(Infinity));
  fc.assert(
    fc.property(fc.array(fc.tuple(event, cut), { maxLength: 20 }), (events) => {
      const text = events.map(([said]) => said).join('');
      // An event in a part of its own is the usual case.
      const parts = events.flatMap(([said, at]) => {
        const bytes = Buffer.from(said);
        return at >= bytes.length ? [bytes] : [bytes.subarray(0, at), bytes.subarray(at)];
      });
      deepEqual(read(parts), parsed(text));
    }),
  );
});
