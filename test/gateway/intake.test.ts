import { equal, ok } from 'node:assert/strict';
import { ServerResponse, type IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { openIntake } from '../../src/gateway/intake.ts';
import { everyone } from '../../src/std/room.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a body that comes byte by byte is whole, and does not cost a piece for each byte until it is there', async () => {
  const stream = new PassThrough();
  const request = Object.assign(stream, { headers: { 'transfer-encoding': 'chunked' } }) as unknown;
  const response = new ServerResponse(request as IncomingMessage);
  const body = openIntake(1_024 ** 2).read(request as IncomingMessage, response, everyone);
  const text = 'the bytes of a body, one after the other. '.repeat(100);
  const pieces: WeakRef<Buffer>[] = [];
  for (const letter of text) {
    const piece = Buffer.from(letter);
    pieces.push(new WeakRef(piece));
    stream.emit('data', piece);
  }
  await turn();
  collectGarbage();
  const kept = pieces.filter((piece) => piece.deref() !== undefined).length;
  ok(kept < 300, `${kept} of ${pieces.length} pieces are kept`);
  stream.end();
  equal(String(await body), text);
});
