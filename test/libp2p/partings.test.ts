/** The end of a connection is told before libp2p has done anything about it, and nothing is lost by that. */
import { deepEqual } from 'node:assert/strict';
import type { Socket } from 'node:net';
import { afterEach, test } from 'node:test';
import type { Connection, MultiaddrConnection } from '@libp2p/interface';
import { Partings } from '../../src/libp2p/partings.ts';
import { soon, until } from './peers.ts';
import { closeRaw, met } from './raw.ts';

afterEach(closeRaw);

/** A connection as libp2p's transports have it, which counts how often libp2p hears of its end. */
class Line {
  status = 'open';
  ends = 0;
  onTransportClosed(): void {
    this.ends++;
    this.status = 'closed';
  }
}
const asConnection = (line: Line): MultiaddrConnection => line as unknown as MultiaddrConnection;

test('an end is told at once and once, and libp2p hears of it when somebody has to do with that peer', () => {
  const lost: string[] = [];
  const partings = new Partings((peerId) => lost.push(peerId));
  const line = new Line();
  partings.watch('a', asConnection(line), () => true);
  line.onTransportClosed();
  line.onTransportClosed();
  deepEqual([lost, line.ends], [['a'], 0]);
  partings.finish('a');
  partings.finish('a');
  deepEqual([lost, line.ends], [['a'], 1]);
});

test('libp2p hears of an end in the end though nobody asks', async () => {
  const partings = new Partings(() => undefined);
  const line = new Line();
  partings.watch('a', asConnection(line), () => true);
  line.onTransportClosed();
  await until('libp2p heard', () => line.ends === 1);
});

test('one of two connections, and one that we close ourselves, ends without a word', () => {
  const lost: string[] = [];
  const partings = new Partings((peerId) => lost.push(peerId));
  const [second, ours] = [new Line(), new Line()];
  partings.watch('a', asConnection(second), () => false);
  second.onTransportClosed();
  partings.watch('b', asConnection(ours), () => true);
  ours.status = 'closing';
  ours.onTransportClosed();
  deepEqual([lost, second.ends, ours.ends], [[], 1, 1]);
});

/** What the kernel does for a process that was killed: the other side sees an end, and libp2p here knows of nothing. */
function endLine(connection: Connection): void {
  const { maConn } = connection as unknown as { readonly maConn: { readonly socket: Socket } };
  maConn.socket.end();
}

test('whoever was cut off and dials again at once is connected, whichever side dials', async () => {
  const { ours, raw, connection } = await met();
  const links = (): readonly string[] => ours.links.map((link) => link[0]!);
  endLine(connection);
  await until('told', () => links().length === 2);
  await met({ ours, raw });
  deepEqual(links(), ['+', '-', '+']);
  for (const one of raw.getConnections()) endLine(one);
  await until('told again', () => links().length === 4);
  const [address] = raw.getMultiaddrs();
  const port = Number(address!.getComponents().find(({ name }) => name === 'tcp')!.value);
  const peerId = raw.peerId.toString();
  await ours.network.dial({ peerId, address: { host: '127.0.0.1', port } }, soon());
  deepEqual(links(), ['+', '-', '+', '-', '+']);
});
