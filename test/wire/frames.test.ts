import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { frameBytesMax, FrameReader, FrameWriter, kinds } from '../../src/wire/frames.ts';

type Frame = readonly [kind: number, call: number, body: string];

function framesIn(chunks: readonly Buffer[]): { frames: Frame[]; isClean: boolean } {
  const frames: Frame[] = [];
  const reader = new FrameReader();
  const isClean = chunks.every((chunk) =>
    reader.read(chunk, (kind, call, body) => frames.push([kind, call, body.toString('latin1')])),
  );
  return { frames, isClean };
}

test('frames come out as they went in, however their bytes are cut', () => {
  const body = fc.uint8Array({ maxLength: 300 });
  const frame = fc.tuple(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }), body);
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 40 }), fc.infiniteStream(fc.nat(700)), (frames, cuts) => {
      const writer = new FrameWriter();
      for (const [kind, call, bytes] of frames) writer.frame(kind, call, bytes);
      const bytes = writer.take();
      const chunks: Buffer[] = [];
      for (let at = 0; at < bytes.length;) {
        const size = 1 + cuts.next().value;
        chunks.push(bytes.subarray(at, at + size));
        at += size;
      }
      const sent = frames.map(([kind, call, part]) => [kind, call, Buffer.from(part).toString('latin1')]);
      deepEqual(framesIn(chunks), { frames: sent, isClean: true });
    }),
  );
});

test('what was taken from a writer is not touched by what is written next', () => {
  const writer = new FrameWriter();
  writer.frame(kinds.data, 1, Buffer.from('first'));
  const first = writer.take();
  for (let i = 0; i < 100; i++) writer.frame(kinds.data, 2, Buffer.alloc(1_000, 'x'));
  deepEqual(framesIn([first]).frames, [[kinds.data, 1, 'first']]);
  equal(framesIn([writer.take()]).frames.length, 100);
});

test('a length beyond the bound is no frame', () => {
  const bytes = Buffer.alloc(9);
  bytes.writeUInt32BE(frameBytesMax + 1, 0);
  equal(framesIn([bytes]).isClean, false);
});
