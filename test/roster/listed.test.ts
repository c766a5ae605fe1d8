import { equal, ok, rejects } from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { freePort } from '../../src/cli/dev/ports.ts';
import { listingOf, makeMachine, RunningNode, type Machine } from './processes.ts';

/** Whoever looked before the other one listened held it dead at first. */
const isThere = (fact: string): boolean => fact === 'member.joined' || fact === 'member.recovered';
const listing = (machines: readonly Machine[], format = listingOf): readonly string[] => [
  ...['--role', 'edge', '--discovery', '2s'],
  ...['--peers', machines.map(format).join(',')],
];

test('three nodes that list each other meet without any cloud, and a fourth that only lists them is denied', async () => {
  const machines = await Promise.all(['one', 'two', 'three'].map(makeMachine));
  const stranger = await makeMachine('stranger');
  await using running = new AsyncDisposableStack();
  const start = async (machine: Machine, args: readonly string[]): Promise<RunningNode> => {
    const node = await RunningNode.start(machine, args);
    running.defer(async () => void (await node.stop()));
    return node;
  };
  const nodes = await Promise.all(machines.map((machine) => start(machine, listing(machines))));
  for (const node of nodes) await node.fact(({ fact }) => fact === 'node.started');
  for (const [i, node] of nodes.entries())
    for (const [j, { name }] of machines.entries())
      if (i !== j) await node.fact(({ fact, member }) => isThere(fact) && member === name);

  const fourth = await start(stranger, listing([...machines, stranger]));
  await fourth.fact(({ fact }) => fact === 'node.started');
  await nodes[0]!.fact(({ fact, peerId }) => fact === 'peer.denied' && peerId === stranger.peerId);
  equal(await fourth.stop(), 0);
  for (const node of nodes) ok(!node.facts.some(({ member }) => member === 'stranger'));
  for (const node of nodes) equal(await node.stop(), 0);
});

const isVersion6 = async (): Promise<boolean> => {
  const server = createServer().listen(0, '::1');
  return once(server, 'listening').then(
    () => (server.close(), true),
    () => false,
  );
};

test(
  'nodes that have addresses of IPv6 ask one another as any others do',
  { skip: !(await isVersion6()) },
  async () => {
    const machines = await Promise.all(['worker', 'edge'].map(makeMachine));
    const [worker, edge] = machines as [Machine, Machine];
    const listed = listing(machines, ({ name, peerId, p2pPort }) => `${name}=${peerId}@[::1]:${p2pPort}`);
    const apiPort = await freePort();
    const args = [...listed, '--host', '::1'];
    await using running = new AsyncDisposableStack();
    const serving = await RunningNode.start(worker, [...args, '--role', 'worker', '--engine', 'simulated']);
    running.defer(async () => void (await serving.stop()));
    const entry = await RunningNode.start(edge, [...args, '--api-port', `${apiPort}`]);
    running.defer(async () => void (await entry.stop()));
    await serving.fact(({ fact }) => fact === 'engine.ready');
    await entry.fact(({ fact, member }) => isThere(fact) && member === 'worker');
    const body = JSON.stringify({ model: 'simulated', prompt: 'hello', max_tokens: 2 });
    // Until the worker's word that it serves has come; a request waits for that no longer than for room.
    const ask = (): Promise<Response> =>
      fetch(`http://127.0.0.1:${apiPort}/v1/completions`, {
        ...{ method: 'POST', body, headers: { 'content-type': 'application/json' } },
      });
    const end = performance.now() + 60_000;
    let answer = await ask();
    while (!answer.ok && performance.now() < end) answer = await ask();
    equal(answer.status, 200, await answer.text());
  },
);

test('where the list has no addresses, mDNS finds them', { skip: !(await isMulticast()) }, async () => {
  const machines = await Promise.all(['left', 'right'].map(makeMachine));
  await using running = new AsyncDisposableStack();
  const named = ({ name, peerId }: Machine): string => `${name}=${peerId}`;
  const nodes = await Promise.all(
    machines.map(async (machine) => {
      const node = await RunningNode.start(machine, listing(machines, named));
      running.defer(async () => void (await node.stop()));
      return node;
    }),
  );
  await nodes[0]!.fact(({ fact, member }) => isThere(fact) && member === 'right');
  await nodes[1]!.fact(({ fact, member }) => isThere(fact) && member === 'left');
});

test('a list that holds this node under another key ends the start with a line that says so', async () => {
  const [own, other] = [await makeMachine('own'), await makeMachine('other')];
  const node = await RunningNode.start(own, listing([{ ...other, name: 'own' }]));
  const refusal = new RegExp(`peers: own is listed with peer id ${other.peerId}`);
  await rejects(
    node.fact(() => false),
    refusal,
  );
  await node.stop();
  await rm(other.dataDir, { recursive: true });
});

/** Whether a datagram to the mDNS group comes back to this machine: containers often have no such route. */
async function isMulticast(): Promise<boolean> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(0, resolve);
    });
    socket.addMembership('224.0.0.251');
    const heard = once(socket, 'message', { signal: AbortSignal.timeout(1_000) });
    socket.send('synkti', socket.address().port, '224.0.0.251');
    await heard;
    return true;
  } catch {
    return false; // No route, or no answer: there is nothing to test here.
  } finally {
    socket.close();
  }
}
