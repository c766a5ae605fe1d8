import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import type { Call } from '../../src/node/call.ts';
import { AnsweringLine } from '../../src/wire/answering.ts';
import { quietMs } from '../../src/wire/asking.ts';
import { windowBytes } from '../../src/wire/flow.ts';
import { frameBytesMax, FrameWriter, kinds } from '../../src/wire/frames.ts';
import { until } from '../gateway/fake-cluster.ts';
import { ask, Heard, line } from './ends.ts';

/** Nothing has come by a line that was made before this was called. */
async function silence(): Promise<void> {
  const since = performance.now();
  await until(() => performance.now() - since > quietMs, 'it is quiet');
}

const echo = (call: Call): void =>
  void call.body(windowBytes * 8).then((body) => {
    call.answer(200, { 'x-path': call.path });
    call.write(body ?? Buffer.from('none'));
    call.end();
  });

test('a call arrives with its method, path, headers and body, and its answer comes back whole', async (t) => {
  const ends = line(t, echo);
  const heard = ask(ends, '/one', 'what is asked');
  await until(() => heard.end === 'whole', 'it is answered');
  equal(heard.text, 'what is asked');
  equal(heard.status, 200);
  deepEqual(heard.headers, { 'x-path': '/one' });
  const [{ method, headers }] = ends.calls as [Call];
  deepEqual([method, headers], ['POST', { 'x-asked': '/one' }]);
});

test('calls share a line and keep their own bytes, in order, beyond any window', async (t) => {
  const ends = line(t, echo);
  const bodies = Array.from({ length: 20 }, (_, i) => Buffer.alloc(i * 37_777, `${i} `));
  const heard = bodies.map((body, i) => ask(ends, `/${i}`, body));
  await until(() => heard.every(({ end }) => end === 'whole'), 'all are answered', 30_000);
  for (const [i, one] of heard.entries()) ok(Buffer.concat(one.parts).equals(bodies[i]!), `call ${i}`);
});

test('what is said in one turn of the event loop leaves in one write', async (t) => {
  const ends = line(t);
  const heard = Array.from({ length: 25 }, (_, i) => ask(ends, `/${i}`));
  await until(() => ends.calls.length === 25, 'all have arrived');
  let writes = 0;
  const [, socket] = ends.sockets;
  const write = socket.write.bind(socket) as (chunk: unknown) => boolean;
  socket.write = ((chunk: unknown) => {
    writes++;
    return write(chunk);
  }) as typeof socket.write;
  for (const call of ends.calls) {
    call.answer(200, {});
    call.write(Buffer.from('a token'));
  }
  await until(() => heard.every(({ bytes }) => bytes > 0), 'all have heard');
  equal(writes, 1);
});

test('who stands still holds back its own call and no other, and gets all of it later', async (t) => {
  const ends = line(t, (call) => call.answer(200, {}));
  const slow = ask(ends, '/slow');
  const quick = ask(ends, '/quick');
  await until(() => ends.calls.length === 2 && slow.status === 200, 'both have begun');
  slow.controller?.pause();
  const [toSlow, toQuick] = ends.calls as [Call, Call];
  let drained = 0;
  toSlow.onDrain(() => drained++);
  const part = Buffer.alloc(frameBytesMax, 's');
  let sent = 0;
  for (let goesOn = true; goesOn; sent += part.length) goesOn = toSlow.write(part);
  ok(sent <= windowBytes + part.length, `${sent} bytes for a window of ${windowBytes}`);
  for (let i = 0; i < 100; i++) toQuick.write(Buffer.alloc(10_000, 'q'));
  toQuick.end();
  await until(() => quick.end === 'whole', 'the other one is whole');
  deepEqual([quick.bytes, slow.bytes, drained], [1_000_000, 0, 0]);
  slow.controller?.resume();
  await until(() => drained > 0, 'there is room again');
  toSlow.end();
  await until(() => slow.end === 'whole', 'it is whole');
  equal(slow.bytes, sent);
});

test('a call that is given up is closed at the other end, and the line stays', async (t) => {
  const ends = line(t);
  const heard = ask(ends, '/given-up');
  await until(() => ends.calls.length === 1, 'it has arrived');
  let isClosed = false;
  ends.calls[0]!.onClose(() => (isClosed = true));
  heard.controller?.abort(new Error('no longer wanted'));
  await until(() => isClosed, 'it is closed');
  equal(heard.end, 'lost');
  ok(ends.asking.isOpen && !ends.closed());
});

test('an answer that is broken off is not taken for whole', async (t) => {
  const ends = line(t, (call) => {
    call.answer(200, {});
    call.write(Buffer.from('half'));
    call.destroy();
  });
  const heard = ask(ends, '/');
  await until(() => heard.end !== 'none', 'it is over');
  deepEqual([heard.end, heard.text], ['lost', 'half']);
});

test('a connection that breaks loses all of its calls at that moment', async (t) => {
  const ends = line(t, (call) => call.answer(200, {}));
  const heard = Array.from({ length: 10 }, (_, i) => ask(ends, `/${i}`));
  await until(() => heard.every(({ status }) => status === 200), 'all have begun');
  ends.sockets[1].destroy();
  await until(() => heard.every(({ end }) => end === 'lost'), 'all are lost');
  equal(ends.asking.isOpen, false);
});

test('what was asked by a connection that turns out to be gone is given back once, where it may be asked twice', async (t) => {
  const ends = line(t, echo);
  await silence();
  const twice = ask(ends, '/twice', 'a body', true);
  const once = ask(ends, '/once');
  const aborted = ask(ends, '/aborted', '', true);
  aborted.controller?.abort(new Error('no longer wanted'));
  ends.sockets[1].destroy();
  await until(() => once.end === 'lost', 'the other one is lost');
  deepEqual([ends.given, twice.end, ends.asking.isOpen], [['/twice'], 'none', false]);
  twice.controller?.abort(new Error('no longer wanted'));
  equal(twice.end, 'none');
});

test('what was asked of a line that had just spoken, or that has spoken since, is lost with it', async (t) => {
  const spoke = line(t);
  const atOnce = ask(spoke, '/', '', true);
  spoke.sockets[1].destroy();
  const speaks = line(t, (call) => call.path === '/answered' && call.answer(200, {}));
  await silence();
  const [answered, waiting] = [ask(speaks, '/answered', '', true), ask(speaks, '/waiting', '', true)];
  await until(() => answered.status === 200, 'it has spoken');
  speaks.sockets[1].destroy();
  await until(() => [atOnce, answered, waiting].every(({ end }) => end === 'lost'), 'all are lost');
  deepEqual([spoke.given, speaks.given], [[], []]);
});

test('a node that gives no sign of life loses the calls that it has not answered, and gets no more', async (t) => {
  const ends = line(t, (call) => call.path === '/begun' && call.answer(200, {}));
  const begun = ask(ends, '/begun');
  await until(() => begun.status === 200, 'it has begun');
  ends.sockets[1].pause();
  const asked: Heard[] = [];
  // As long as something was heard just now no sign is wanted.
  await until(
    () => {
      if (ends.asking.isOpen) asked.push(ask(ends, '/asked'));
      return asked[0]?.end === 'lost';
    },
    'it is lost',
    30_000,
  );
  match(asked[0]!.why, /no sign of life/);
  deepEqual([begun.end, ends.asking.isOpen], ['none', false]);
  ends.sockets[1].resume();
  ends.calls[0]!.end();
  await until(() => begun.end === 'whole', 'what has begun is judged by its own rhythm');
});

test('a line that is left takes nothing new and closes when its calls are over', async (t) => {
  const ends = line(t, (call) => call.answer(200, {}));
  const heard = ask(ends, '/');
  await until(() => heard.status === 200, 'it has begun');
  ends.answering.leave();
  await until(() => !ends.asking.isOpen, 'the other end knows');
  equal(ends.closed(), false);
  ends.calls[0]!.write(Buffer.from('the rest'));
  ends.calls[0]!.end();
  await until(() => heard.end === 'whole' && ends.closed(), 'it is closed');
  equal(heard.text, 'the rest');
});

test('frames of a kind that is not known are passed over', async (t) => {
  const ends = line(t, echo);
  const writer = new FrameWriter();
  writer.frame(200, 7, Buffer.from('of a later version'));
  const later = writer.take();
  ends.sockets[0].write(later);
  ends.sockets[1].write(later);
  const heard = ask(ends, '/', 'still understood');
  await until(() => heard.end === 'whole', 'it is answered');
  equal(heard.text, 'still understood');
});

test('who sends more than it was allowed, or no frames at all, is cut off', async (t) => {
  const tooMuch = line(t);
  const writer = new FrameWriter();
  const head = Buffer.from(JSON.stringify({ method: 'POST', path: '/', headers: {} }));
  writer.frame(kinds.open, 1, head);
  // More than the whole window after what was given back on the way.
  tooMuch.sockets[0].write(writer.take());
  await until(() => tooMuch.calls.length === 1, 'it has arrived');
  const heard = line(t, (call) => call.answer(200, {}));
  const paused = ask(heard, '/');
  await until(() => paused.status === 200, 'it has begun');
  paused.controller?.pause();
  for (let bytes = 0; bytes <= windowBytes; bytes += frameBytesMax)
    writer.frame(kinds.data, 1, Buffer.alloc(frameBytesMax));
  heard.sockets[1].write(writer.take());
  await until(() => paused.end === 'lost', 'it is lost');
  tooMuch.sockets[0].write(Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'));
  await until(() => tooMuch.closed(), 'it is cut off');
});

test('garbage that comes with the upgrade closes the line after it is made, not while it is', async (t) => {
  const [, socket] = duplexPair();
  t.after(() => socket.destroy());
  let isClosed = false;
  let isMade = false;
  const garbage = Buffer.from('ffffffff0100000001', 'hex');
  new AnsweringLine(socket, garbage, {
    held: { bytes: 0 },
    onCall: () => {},
    onStuck: () => {},
    onClosed: () => {
      ok(isMade);
      isClosed = true;
    },
  });
  isMade = true;
  await until(() => isClosed, 'it is closed');
});

test('a head that no parser of HTTP would let through breaks the line, a part before its head loses the call', async (t) => {
  const heads = [
    { status: 200, headers: { 'x-a': 'b\r\nx-c: d' } },
    { status: 200, headers: { 'x a': 'b' } },
    { status: 200, headers: { 'x-a': '☕' } },
    { status: 101, headers: {} },
  ];
  for (const head of heads) {
    const ends = line(t);
    const heard = ask(ends, '/');
    const writer = new FrameWriter();
    writer.frame(kinds.head, 1, Buffer.from(JSON.stringify(head)));
    ends.sockets[1].write(writer.take());
    await until(() => heard.end === 'lost', 'it is lost');
    deepEqual([heard.status, ends.asking.isOpen], [0, false]);
  }
  for (const kind of [kinds.data, kinds.end]) {
    const ends = line(t);
    const heard = ask(ends, '/');
    const writer = new FrameWriter();
    writer.frame(kind, 1, kind === kinds.data ? Buffer.from('early') : null);
    ends.sockets[1].write(writer.take());
    await until(() => heard.end === 'lost', 'it is lost');
    deepEqual([heard.status, heard.bytes, ends.asking.isOpen], [0, 0, true]);
  }
});

test('a call that wants its pieces in time is lost when none comes, unless it stands still itself', async (t) => {
  const ends = line(t, (call) => call.answer(200, {}));
  const options = { method: 'GET', path: '/', bodyTimeout: 100 } as const;
  const [waiting, paused] = [new Heard(), new Heard()];
  ends.asking.dispatch(options, waiting);
  ends.asking.dispatch(options, paused);
  await until(() => waiting.status === 200 && paused.status === 200, 'both have begun');
  paused.controller?.pause();
  await until(() => waiting.end === 'lost', 'the one that waits is lost');
  match(waiting.why, /late/);
  equal(paused.end, 'none');
});

test('what has come whole is told to who stood still, though the connection is gone by then', async (t) => {
  const ends = line(t, (call) => call.answer(200, {}));
  const heard = ask(ends, '/');
  const unfinished = ask(ends, '/');
  await until(() => heard.status === 200 && unfinished.status === 200, 'both have begun');
  heard.controller?.pause();
  const [call] = ends.calls;
  call!.write(Buffer.from('all of it'));
  call!.end();
  // Frames come in their order: when this has come, so has the end of the other.
  ends.calls[1]!.write(Buffer.from('half'));
  await until(() => unfinished.bytes > 0, 'it has come');
  ends.sockets[1].destroy();
  await until(() => unfinished.end === 'lost', 'the connection is gone');
  equal(heard.end, 'none');
  heard.controller?.resume();
  deepEqual([heard.end, heard.text], ['whole', 'all of it']);
});

test('a part that is larger than what is left of the credit does not wait for ever', async (t) => {
  const ends = line(t, (call) => {
    call.answer(200, {});
    call.write(Buffer.alloc(116_000));
    call.write(Buffer.alloc(190_000));
    call.end();
  });
  const heard = ask(ends, '/');
  await until(() => heard.end === 'whole', 'it is whole');
  equal(heard.bytes, 306_000);
});

test('the bodies that come by all lines of a node are bounded together', async (t) => {
  const held = { bytes: 0 };
  const [one, other] = [line(t, () => {}, held), line(t, echo, held)];
  ask(one, '/', 'a body that');
  await until(() => one.calls.length === 1, 'it has arrived');
  held.bytes = 256 * 1_024 ** 2;
  const heard = ask(other, '/', 'one byte more');
  await until(() => heard.end === 'lost', 'it is turned away');
  ok(other.asking.isOpen);
});
