import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { Pieces } from '../../src/std/pieces.ts';

test('what came in however many pieces is whole, and one piece alone is no copy', () => {
  for (const count of [0, 1, 2, 255, 256, 257, 512, 1_000]) {
    const pieces = new Pieces();
    const whole = Buffer.from(Array.from({ length: count }, (_, index) => index % 251));
    for (const byte of whole) pieces.add(Buffer.of(byte));
    deepEqual(pieces.all(), whole);
    pieces.clear();
    deepEqual(pieces.all(), Buffer.alloc(0));
  }
  const alone = new Pieces();
  const piece = Buffer.from('all that came');
  alone.add(piece);
  equal(alone.all(), piece);
});
