import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { connectControl } from '../../src/control/client.ts';
import { connectionsMax, openControl, type ControlServer } from '../../src/control/server.ts';
import { controlSocket } from '../../src/control/socket-file.ts';
import { fakeNode, type FakeNode } from './operations.ts';

async function tempDir(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-control-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function open(
  t: TestContext,
  options: { readonly dir?: string; readonly faults?: boolean } = {},
): Promise<{ readonly dir: string; readonly node: FakeNode; readonly server: ControlServer }> {
  const dir = options.dir ?? (await tempDir(t));
  const node = fakeNode();
  const isolate = options.faults === false ? null : (on: boolean) => void (node.isolated = on);
  const server = await openControl({ dataDir: dir, operations: node, drainMs: 70_000, isolate });
  t.after(() => server.close());
  return { dir, node, server };
}

/** What a client that knows nothing of our types gets. */
async function raw(path: string, method: string, url: string, body = ''): Promise<[number, unknown]> {
  const sent = request({ socketPath: path, method, path: url, agent: false });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [AsyncIterable<Buffer> & { statusCode: number }];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return [response.statusCode, JSON.parse(Buffer.concat(chunks).toString())];
}

test('a client reads status and members as the node tells them', async (t) => {
  const { dir, node } = await open(t);
  const client = connectControl(dir);
  deepEqual(await client.status(), node.status());
  deepEqual(await client.members(), node.members());
});

test('a drain is ordered and answered at once, with its reason and its time', async (t) => {
  const { dir, node } = await open(t);
  const { life } = await connectControl(dir).drain('operator', 5_000);
  deepEqual(node.told, ['drain operator 5000']);
  deepEqual(life, { phase: 'draining', reason: 'operator', deadline: 6_000 });
});

test('leave answers when the node has left, and closing the server waits for that answer', async (t) => {
  const { dir, node, server } = await open(t);
  const gate = Promise.withResolvers<void>();
  node.leaving = gate.promise;
  const left = connectControl(dir).leave(5_000);
  while (node.told.length === 0) await new Promise(setImmediate);
  gate.resolve();
  const [{ life }] = await Promise.all([left, server.close()]);
  deepEqual(life, { phase: 'left' });
  deepEqual(await readdir(dir), [], 'the socket went with the server');
});

test('isolation is for nodes that allow faults', async (t) => {
  const { dir, node } = await open(t);
  await connectControl(dir).isolate(true);
  equal(node.isolated, true);
  const strict = await open(t, { faults: false });
  await rejects(connectControl(strict.dir).isolate(true), { kind: 'denied' });
});

test('what is no order is refused with its reason, and changes nothing', async (t) => {
  const { node, server } = await open(t);
  const wrong: [string, string, string][] = [
    ['POST', '/drain', ''],
    ['POST', '/drain', '{"reason":"boredom","withinMs":1}'],
    ['POST', '/drain', '{"reason":"operator","withinMs":-1}'],
    ['POST', '/drain', '{"reason":"operator","withinMs":1,"now":true}'],
    ['POST', '/leave', '{"withinMs":1e99}'],
    ['POST', '/faults/isolate', '{"on":"yes"}'],
    ['POST', '/drain', `{"reason":"${'x'.repeat(5_000)}"`],
  ];
  for (const [method, url, body] of wrong) equal((await raw(server.path, method, url, body))[0], 400, body);
  deepEqual(await raw(server.path, 'DELETE', '/status'), [
    404,
    { error: { kind: 'missing', message: 'DELETE /status: no such request' } },
  ]);
  deepEqual(node.told, []);
});

test('connections that ask nothing keep nobody out: the oldest of them gives way, and who is being answered stays', async (t) => {
  const { dir, node, server } = await open(t);
  const gate = Promise.withResolvers<void>();
  node.leaving = gate.promise;
  const left = connectControl(dir).leave(5_000);
  while (node.told.length === 0) await new Promise(setImmediate);

  const silent = (begun = ''): Promise<Socket> =>
    new Promise((resolve) => {
      const socket = connect(server.path, () => socket.write(begun, () => resolve(socket)));
      socket.on('error', () => {});
      t.after(() => socket.destroy());
    });
  const half = 'POST /drain HTTP/1.1\r\nhost: node\r\ncontent-length: 50\r\n\r\n{"rea';
  const oldest = await silent(half);
  const gone = once(oldest.resume(), 'close');
  const others: Socket[] = [];
  while (others.length < connectionsMax - 2) others.push(await silent());
  deepEqual(await connectControl(dir).status(), node.status());
  await gone;
  ok(others.every(({ closed }) => !closed));
  for (const socket of others) socket.destroy();
  gate.resolve();
  deepEqual((await left).life, { phase: 'left' });
});

test('only the owner may open the socket', async (t) => {
  const { server } = await open(t);
  equal((await stat(server.path)).mode & 0o777, 0o600);
});

test('a second node in the same data directory is refused, and the first one goes on', async (t) => {
  const { dir, node } = await open(t);
  await rejects(open(t, { dir }), {
    kind: 'busy',
    message: `data directory ${dir}: a node already runs here`,
  });
  deepEqual(await connectControl(dir).status(), node.status());
});

test('the socket of a node that was killed is replaced', async (t) => {
  const dir = await tempDir(t);
  const listen = `require('net').createServer().listen(${JSON.stringify(controlSocket(dir))}, () => console.log())`;
  const child = spawn(process.execPath, ['-e', listen], { stdio: ['ignore', 'pipe', 'ignore'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  deepEqual(await readdir(dir), ['control.sock']);
  await rejects(connectControl(dir).status(), { kind: 'unreachable' });
  const { node } = await open(t, { dir });
  deepEqual(await connectControl(dir).status(), node.status());
});

test('a data directory that cannot be used is one clear line', async (t) => {
  const file = join(await tempDir(t), 'file');
  await writeFile(file, '');
  await rejects(open(t, { dir: join(file, 'data') }), {
    kind: 'invalid',
    message: `data directory ${join(file, 'data')}: a file stands in the way: choose another`,
  });
  const long = join(await tempDir(t), 'x'.repeat(90));
  await rejects(
    open(t, { dir: long }),
    /a socket's path has at most 10[37] bytes and this one 1\d\d: choose/,
  );
  throws(() => connectControl(long), { kind: 'invalid' });
});

test('a client tells a node that is not there from something else that answers', async (t) => {
  const dir = await tempDir(t);
  await rejects(connectControl(dir).status(), {
    kind: 'unreachable',
    message: `no node runs behind ${join(dir, 'control.sock')}`,
  });
  const answers = [
    'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}',
    'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{',
  ];
  const server = createServer((socket) => {
    socket.once('data', () => socket.end(answers.shift() ?? ''));
    socket.on('error', () => socket.destroy());
  });
  server.listen(controlSocket(dir));
  await once(server, 'listening');
  t.after(() => server.close());
  await rejects(connectControl(dir).status(), { kind: 'invalid', message: /another version/ });
  await rejects(connectControl(dir).status(), { kind: 'invalid', message: /answered something else/ });
  await rejects(connectControl(dir).status(), { kind: 'unreachable' });
  ok(answers.length === 0);
});
