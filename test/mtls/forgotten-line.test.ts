/** Lines to a host that lost its power, or was cut off for long: it has forgotten its end of them, and ours knows nothing. */
import { equal, rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { askBy as openJournalWay } from '../../src/gateway/journal.ts';
import type { Way } from '../../src/mtls/peer-way.ts';
import { memberId } from '../../src/std/member-id.ts';
import { quietMs } from '../../src/wire/asking.ts';
import { until } from '../gateway/fake-cluster.ts';
import { listenToItself } from './line-listener.ts';

type Host = { readonly address: string; forget(): void };

/** Before a listener; `forget`: what it had open it answers by resets, and only when it is asked something. */
async function hostOf(port: number, after: (end: () => void) => void): Promise<Host> {
  const open: (readonly [Socket, Socket])[] = [];
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const socket of [near, far]) socket.on('error', () => socket.destroy());
    near.pipe(far).pipe(near);
    open.push([near, far]);
  });
  after(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const forget = (): void => {
    for (const [near, far] of open.splice(0)) {
      near.unpipe(far);
      far.unpipe(near);
      far.destroy();
      near.on('data', () => near.resetAndDestroy()).resume();
    }
  };
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, forget };
}

/** The body of the answer; rejects as the call is lost. */
const askBy = (way: Way, idempotent: boolean): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = '';
    way.dispatch(
      { method: 'POST', path: '/', body: 'a question', idempotent },
      {
        onRequestStart: () => {},
        onResponseStart: () => {},
        onResponseData: (_, part) => (text += part.toString('utf8')),
        onResponseEnd: () => resolve(text),
        onResponseError: (_, error) => reject(error),
      },
    );
  });

/** null: no answer. */
const askOfLogs = (way: Way): Promise<string | null> =>
  new Promise((resolve) => {
    const told = (answer: Uint8Array | null): void => resolve(answer && Buffer.from(answer).toString('utf8'));
    openJournalWay(() => way)(memberId('i-1'), Buffer.from('a question'), 5_000, told);
  });

test('a call by a line that its peer has forgotten goes by a new one, where it may be asked twice, as of logs', async (t) => {
  const { peerId, port, pools } = await listenToItself(
    t,
    (call) =>
      void call.body(1_024).then((body) => {
        call.answer(200, {});
        call.write(body ?? Buffer.from('none'));
        call.end();
      }),
  );
  const host = await hostOf(port, (end) => t.after(end));
  const way = pools.to({ peerId, address: host.address });
  const forgotten = async (): Promise<void> => {
    equal(await askBy(way, false), 'a question');
    host.forget();
    const since = performance.now();
    await until(() => performance.now() - since > quietMs, 'it is quiet');
  };
  await forgotten();
  equal(await askBy(way, true), 'a question');
  await forgotten();
  equal(await askOfLogs(way), 'a question');
  await forgotten();
  await rejects(askBy(way, false), { code: 'ECONNRESET' });
});
