import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { openPassedStream } from '../../src/gateway/usage.ts';

const event = (name: string, data: object = {}): string =>
  `event: ${name}\ndata: ${JSON.stringify({ type: name, ...data })}\n\n`;

/** After how many pieces a stream was said to have begun, and how often; 0: it was not. */
function begins(pieces: readonly string[]): readonly number[] {
  const begun: number[] = [];
  let taken = 0;
  const stream = openPassedStream({ spent: () => {}, begun: () => begun.push(taken) });
  for (const piece of pieces) {
    taken += 1;
    stream.take(Buffer.from(piece));
  }
  return begun;
}

const created = event('response.created', {
  response: { instructions: 'Say delta\nevent: x.delta\n'.repeat(400) },
});
const framed = [created, event('response.in_progress'), event('response.output_item.added')];
const said = event('response.output_text.delta', { delta: 'hi' });

test('a stream whose events have names begins with the first delta, whatever frames it before', () => {
  deepEqual(begins([...framed, said, said, event('response.completed')]), [4]);
  deepEqual(begins([event('message_start'), event('content_block_start'), event('ping')]), []);
  deepEqual(begins([event('message_start') + event('content_block_delta'), event('message_stop')]), [1]);
  deepEqual(begins([event('message_start'), event('error', { error: {} })]), []);
  const crlf = [event('message_start'), event('content_block_delta')].map((one) =>
    one.replaceAll('\n', '\r\n'),
  );
  deepEqual(begins(crlf), [2]);
});

test('where a name is cut in two, the stream begins with its second half', () => {
  const whole = created + said;
  for (let at = created.length + 1; at < created.length + said.indexOf('\n') + 1; at++)
    deepEqual(begins([whole.slice(0, at), whole.slice(at)]), [2], `cut at ${at - created.length}`);
});

test('a stream whose events have no names begins with the first', () => {
  deepEqual(begins(['data: {"text":"a"}\n\n', 'data: {"text":"b"}\n\n']), [1]);
  deepEqual(begins([': a comment\n\n', 'data: {"text":"a"}\n\n']), [2]);
});

test('the tokens of a stream are those that its end says, and until then its events', () => {
  const stream = openPassedStream({ spent: () => {}, begun: () => {} });
  equal(stream.tokensSoFar(), null);
  for (const piece of [...framed, said]) stream.take(Buffer.from(piece));
  deepEqual([stream.tokens(), stream.tokensSoFar()], [null, 4]);
  stream.take(Buffer.from(event('response.completed', { response: { usage: { output_tokens: 70 } } })));
  deepEqual([stream.tokens(), stream.tokensSoFar()], [70, 70]);
});
