/** A peer whose host went dark says nothing, and whoever waits for its answer hears of it from the own kernel. */
import { equal } from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { aliveMs } from '../../src/mtls/peer-pool.ts';
import { until } from '../gateway/fake-cluster.ts';
import { listenToItself } from './line-listener.ts';

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
    const begun = Promise.withResolvers<void>();
    const { peerId, port, pools } = await listenToItself(t, () => begun.resolve());
    const way = pools.to({ peerId, address: `127.0.0.1:${port}` });
    way.dispatch(
      { method: 'POST', path: '/', body: 'a question', headersTimeout: 0 },
      { onRequestStart: () => {}, onResponseError: () => {} },
    );
    await begun.promise;
    await until(() => askedInMs(port).length === 2, 'what was said is acknowledged');
    for (const ms of askedInMs(port)) equal(ms <= aliveMs, true, `asked in ${ms} ms`);
  },
);
