/** When what is new of streams goes to the members that hold copies, and what that costs. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { heldOf } from '../../src/journal/holder.ts';
import { memberId } from '../../src/std/member-id.ts';
import { recordBytes } from '../../src/stream/record.ts';
import { append, at, Net, open, six } from './net.ts';

test('[J3] at twenty streams a token costs a copy at most 16 bytes', () => {
  const net = new Net(six.slice(0, 3), 3);
  const [streams, tokens] = [20, 250];
  for (let i = 0; i < streams; i++) open(net, `stream-with-an-id-${i}`);
  net.pass(200);
  net.batchBytes = 0;
  const words = [' the', ' of', ' and', ' instance', ' a', ' fears', ',', ' noth', 'ing'];
  for (let token = 0; token < tokens; token++) {
    for (let i = 0; i < streams; i++) {
      const word = words[(token * 7 + i) % words.length]!;
      // Ids of a vocabulary of 150,000: three bytes.
      const ids = [20_000 + net.below(130_000)];
      const bytes = recordBytes({ type: 'said', ids, text: word, single: true, finish: null });
      net.tell(at, { type: 'append', id: `stream-with-an-id-${i}`, bytes, urgent: false });
      net.pass(1);
    }
  }
  net.pass(1_000);
  const perToken = net.batchBytes / (streams * tokens * 2);
  ok(perToken <= 16, `${perToken.toFixed(1)} bytes a token and copy`);
});

test('[J3] batches to a member are one at a time and apart, nearer when somebody waits', () => {
  for (const [urgent, least, most] of [
    [false, 2, 4],
    [true, 20, 90],
  ] as const) {
    const net = new Net(six.slice(0, 2), 5);
    open(net, 's');
    net.pass(100);
    net.batches = 0;
    for (let ms = 0; ms < 250; ms++) {
      append(net, 's', 'x', urgent);
      net.pass(1);
    }
    ok(net.batches >= least && net.batches <= most, `${net.batches} batches, urgent: ${urgent}`);
  }
});

test('[J3] streams that begin together are told of in one batch, and soon', () => {
  const net = new Net(six.slice(0, 2), 6);
  for (const id of ['s', 't']) {
    open(net, id);
    net.pass(1);
  }
  equal(net.batches, 0);
  net.pass(10);
  equal(net.batches, 1);
  for (const id of ['s', 't']) equal(net.held(id).length, 1);
  // However many come, they wait no longer than the first of them.
  for (let at = 0; at < 100; at++) {
    open(net, `v${at}`);
    net.pass(1);
  }
  ok(net.batches > 10, `${net.batches} batches`);
});

test('[J3] a log of which somebody waits for a copy goes ahead without the others', () => {
  const net = new Net(six.slice(0, 2), 6);
  for (const id of ['s', 't']) open(net, id);
  net.pass(150);
  const copyOf = (id: string): string =>
    Buffer.from(heldOf(net.holders.get(memberId('a2'))!, id)!.bytes).toString();
  append(net, 's', 'x');
  net.pass(50);
  append(net, 's', 'y');
  append(net, 't', 'z', true);
  net.pass(20);
  deepEqual([copyOf('s'), copyOf('t')], ['s:x', 't:z']);
  net.pass(100);
  equal(copyOf('s'), 's:xy');
});
