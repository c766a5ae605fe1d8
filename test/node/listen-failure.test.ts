import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { listenFailure } from '../../src/node/listen-failure.ts';

test('whoever cannot listen says where, why, and which setting would help', () => {
  const told = (whom: 'clients' | 'gossip' | 'peers', why: string): string =>
    listenFailure({ whom, host: '10.0.0.1', port: 80 }, why, null).message;
  deepEqual(
    [
      told('clients', 'EADDRINUSE'),
      told('gossip', 'EACCES'),
      told('peers', 'EADDRNOTAVAIL'),
      told('peers', 'EIO'),
    ],
    [
      'listen for clients on 10.0.0.1 port 80: busy: EADDRINUSE: another program listens there: choose another --api-port',
      'listen for gossip on 10.0.0.1 port 80: denied: EACCES: not for this user: choose another --p2p-port',
      'listen for peers on 10.0.0.1 port 80: denied: EADDRNOTAVAIL: not an address of this machine: choose another --host',
      'listen for peers on 10.0.0.1 port 80: denied: EIO',
    ],
  );
});
