/** A peer whose host went dark says nothing, and whoever waits for its answer hears of it from the own kernel. */
import { equal } from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { issueCertificate } from '../../src/mtls/certificate.ts';
import { loadIdentity } from '../../src/mtls/identity.ts';
import { listenPeers, peerBounds } from '../../src/mtls/peer-listener.ts';
import { aliveMs } from '../../src/mtls/peer-pool.ts';
import { openPeerPools } from '../../src/mtls/peer-pools.ts';
import { AnsweringLine } from '../../src/wire/answering.ts';
import { AskingLine } from '../../src/wire/asking.ts';
import { protocol } from '../../src/wire/frames.ts';
import { until } from '../gateway/fake-cluster.ts';

/** Of Linux: one row a socket, with its state and its running timer (proc_net_tcp(5)). */
const table = '/proc/net/tcp';
const established = '01';
const keepalive = '02';
/** Its unit of time, ms. */
const jiffyMs = 10;

/** When the kernel will ask, at each end of the connections to this port that have nothing else to wait for, ms. */
function askedInMs(port: number): readonly number[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  const rows = readFileSync(table, 'utf8').trim().split('\n').slice(1);
  return rows.flatMap((row) => {
    const [, local, remote, state, , timer] = row.trim().split(/\s+/);
    const isOurs = [local, remote].some((end) => end?.endsWith(`:${wanted}`) === true);
    const [kind, jiffies] = timer?.split(':') ?? [];
    if (!isOurs || state !== established || kind !== keepalive) return [];
    return [Number.parseInt(jiffies ?? '', 16) * jiffyMs];
  });
}

const skip = existsSync(table) ? false : 'needs the table of sockets of Linux';

test(
  'while an answer is waited for, both ends of its line have their kernels ask for the other',
  { skip },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'synkti-dark-'));
    t.after(() => rm(folder, { recursive: true }));
    const identity = await loadIdentity(join(folder, 'key'));
    const credentials = await issueCertificate(identity);
    const begun = Promise.withResolvers<void>();
    const listener = await listenPeers(
      {
        ...{ credentials, host: '127.0.0.1', port: 0, admit: () => Promise.resolve(true) },
        onRequest: (_, response) => response.end('by no line'),
        lines: {
          protocol,
          take: (socket, first, { onClosed }) =>
            new AnsweringLine(socket, first, {
              ...{ held: { bytes: 0 }, onCall: () => begun.resolve(), onStuck: () => {}, onClosed },
            }),
        },
        ...{ bounds: peerBounds, onRefused: () => {} },
      },
      AbortSignal.timeout(30_000),
    );
    t.after(() => listener.close(AbortSignal.abort()));
    const pools = openPeerPools(credentials, { protocol, open: (...line) => new AskingLine(...line) });
    t.after(() => pools.close());
    const way = pools.to({ peerId: identity.peerId, address: `127.0.0.1:${listener.port}` });
    way.dispatch(
      { method: 'POST', path: '/', body: 'a question', headersTimeout: 0 },
      { onRequestStart: () => {}, onResponseError: () => {} },
    );
    await begun.promise;
    await until(() => askedInMs(listener.port).length === 2, 'what was said is acknowledged');
    for (const ms of askedInMs(listener.port)) equal(ms <= aliveMs, true, `asked in ${ms} ms`);
  },
);
