import { deepEqual, throws } from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerAddress } from '../../src/node/ports.ts';
import { openRoster, withOperators } from '../../src/roster/roster.ts';

const self = { nodeId: 'a', peerId: 'key-a', address: { host: '10.0.0.1', port: 4001 } };
const at = (host: string): PeerAddress => ({ host, port: 4001 });
const { signal } = new AbortController();

test('the cluster is this node and whoever is listed, each where the list says or where it was found', async () => {
  const found = new Map([['key-c', at('10.0.0.3')]]);
  const peers = [
    { name: 'a', peerId: 'key-a', address: null },
    { name: 'b', peerId: 'key-b', address: at('10.0.0.2') },
    { name: 'c', peerId: 'key-c', address: null },
    { name: 'd', peerId: 'key-d', address: null },
  ];
  const roster = openRoster(self, peers, (peerId) => found.get(peerId) ?? null);
  const sightings = await roster.sightings(signal);
  deepEqual(
    sightings.map(({ instanceId, peerId, address }) => [instanceId, peerId, address?.host ?? null]),
    [
      ['a', 'key-a', '10.0.0.1'],
      ['b', 'key-b', '10.0.0.2'],
      ['c', 'key-c', '10.0.0.3'],
      ['d', 'key-d', null],
    ],
  );
});

test('a list that gives this name another key, or this key another name, is refused', () => {
  const open = (name: string, peerId: string) => () =>
    openRoster(self, [{ name, peerId, address: null }], () => null);
  throws(open('a', 'key-x'), /peers: a is listed with peer id key-x/);
  throws(open('x', 'key-a'), /this node is a with key-a/);
  open('x', 'key-x')();
});

test('operators are listed beside the members, by key, without an address and without a voice', async () => {
  const cloud = withOperators(
    openRoster(self, [], () => null),
    ['key-o'],
  );
  const [, operator] = await cloud.sightings(signal);
  deepEqual([operator?.instanceId, operator?.address, operator?.role], ['key-o', null, 'operator']);
});
