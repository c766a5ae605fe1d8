import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { connectControl } from '../../src/localcloud/control-client.ts';
import { openControlServer } from '../../src/localcloud/control-server.ts';
import { startRig } from './rig.ts';

const soon = (): AbortSignal => AbortSignal.timeout(30_000);

/** What a person with curl would see. */
async function raw(socketPath: string, method: string, path: string, body: string) {
  const req = request({ socketPath, method, path, agent: false });
  req.end(body);
  const [res] = (await once(req, 'response')) as [import('node:http').IncomingMessage];
  return { status: res.statusCode, body: JSON.parse(await text(res)) as { error?: { message: string } } };
}

test('the client does over the socket what the cloud does itself', async () => {
  await using rig = await startRig();
  await rig.boot(2);
  const operate = connectControl(rig.cloud.controlSocket);
  const instances = await operate('instances', {}, soon());
  deepEqual(
    instances.map(({ index, zone, phase }) => [index, zone, phase]),
    [
      [0, 'us-east-1a', 'running'],
      [1, 'us-east-1b', 'running'],
    ],
  );
  const noticed = await operate('interrupt', { instance: '1', noticeMs: 10_000 }, soon());
  equal(noticed.notice?.action, 'terminate');
  const fault = await operate('fault', { service: 's3', fail: 503, times: 3 }, soon());
  deepEqual(await operate('faults', {}, soon()), [fault]);
  await operate('clear-fault', {}, soon());
  deepEqual(await operate('faults', {}, soon()), []);
});

test('only the owner may open the socket and its directory', async () => {
  await using rig = await startRig();
  equal(statSync(rig.cloud.controlSocket).mode & 0o777, 0o600);
  equal(statSync(dirname(rig.cloud.controlSocket)).mode & 0o777, 0o700);
});

test('errors say what is wrong with which field', async () => {
  await using rig = await startRig();
  await rig.boot(1);
  const operate = connectControl(rig.cloud.controlSocket);
  await rejects(operate('interrupt', { instance: '0', noticeMs: -1 }, soon()), {
    kind: 'invalid',
    message: /^interrupt: noticeMs: /,
  });
  await rejects(operate('interrupt', { instance: '0', noticeMS: 5 } as never, soon()), {
    kind: 'invalid',
    message: /noticeMS/,
  });
  await rejects(operate('fault', { service: 'ec2' }, soon()), { kind: 'invalid', message: /fail: neither/ });
  await rejects(operate('kill', { instance: 'x' }, soon()), {
    kind: 'missing',
    message: /there are: 0 \(i-/,
  });
  await rejects(operate('thaw', { instance: '0', which: 'gpu' as never }, soon()), { message: /which: / });
  await rejects(operate('outage', { zone: 'mars', on: true }, soon()), { kind: 'missing' });
  await rejects(operate('clear-fault', { fault: 'fault-9' }, soon()), { kind: 'missing' });
});

test('what is no operation, no POST or no JSON is refused in words', async () => {
  await using rig = await startRig();
  const socket = rig.cloud.controlSocket;
  equal((await raw(socket, 'POST', '/explode', '{}')).status, 404);
  equal((await raw(socket, 'GET', '/instances', '')).status, 400);
  equal((await raw(socket, 'POST', '/__proto__', '{}')).status, 404);
  const bad = await raw(socket, 'POST', '/kill', '{"instance":');
  equal(bad.status, 400);
  match(bad.body.error!.message, /not JSON/);
  equal((await raw(socket, 'POST', '/kill', '[]')).status, 400);
  equal((await raw(socket, 'POST', '/instances', '')).status, 200);
  equal((await raw(socket, 'POST', '/kill', `{"instance":"${'x'.repeat(70_000)}"}`)).status, 413);
});

test('a client without a cloud says so', async () => {
  const operate = connectControl(join(tmpdir(), 'no-such.sock'));
  await rejects(operate('instances', {}, soon()), { kind: 'unreachable' });
});

test('a socket left by a crash is taken over, one in use is not', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'lc-'));
  const socket = join(dir, 'control.sock');
  const operate = async (): Promise<never> => ({}) as never;
  const report = (error: unknown): never => {
    throw error;
  };
  // A process that is killed while it listens leaves its socket file behind.
  const script = `require('node:net').createServer().listen(${JSON.stringify(socket)}, () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', script]);
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const server = await openControlServer({ socket, operate, report });
  await rejects(openControlServer({ socket, operate, report }), {
    kind: 'denied',
    message: /another local cloud/,
  });
  await server.close();
  await server.close();
  await rm(dir, { recursive: true });
});

test('a directory too deep for a socket is refused with the reason', async () => {
  const socket = join('/tmp', 'x'.repeat(120), 'control.sock');
  await rejects(openControlServer({ socket, operate: async () => ({}) as never, report: () => {} }), {
    kind: 'invalid',
    message: /longer than 107 bytes/,
  });
});
