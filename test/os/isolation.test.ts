/**
 * Both ends live in this process, so the trials pick one end by its port: `localPort` of a listener means that the
 * listener's node is isolated, `remotePort` means that the one who dials is.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpsServer } from 'node:https';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Pool } from 'undici';
import { issueCertificate } from '../../src/mtls/certificate.ts';
import { loadIdentity } from '../../src/mtls/identity.ts';
import { type Ends, type Isolation, openIsolation } from '../../src/os/isolation.ts';

const folder = await mkdtemp(join(tmpdir(), 'synkti-isolation-'));
after(() => rm(folder, { recursive: true }));
const credentials = await issueCertificate(await loadIdentity(folder));

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function isolationOf(isPeer: (ends: Ends) => boolean): Isolation {
  const isolation = openIsolation(isPeer);
  cleanups.push(() => isolation.close());
  return isolation;
}

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    server.close();
    sockets.forEach((socket) => socket.destroy());
  });
  return (server.address() as AddressInfo).port;
}

/** Answers each piece with the same in capitals. */
const shouting = (): Server =>
  createServer((socket) => {
    socket.on('data', (data) => socket.write(data.toString().toUpperCase()));
    socket.on('error', () => socket.destroy());
  });

/** A connection that remembers what it heard. */
class Listener {
  heard = '';
  readonly socket: Socket;

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    this.socket.on('data', (data) => (this.heard += data.toString()));
    this.socket.on('error', (error) => (this.heard += `<${error.message}>`));
    this.socket.on('end', () => (this.heard += '<end>'));
    cleanups.push(() => this.socket.destroy());
  }

  async hears(text: string): Promise<void> {
    await until(
      () => this.heard === text,
      () => `heard "${this.heard}", not "${text}"`,
    );
  }
}

async function until(holds: () => boolean, complaint: () => string): Promise<void> {
  const end = Date.now() + 30_000;
  while (!holds()) {
    if (Date.now() > end) throw new Error(complaint());
    await turn();
  }
}

/** Everything that was going to arrive over loopback has arrived once so many others went to and fro. */
async function settle(): Promise<void> {
  const port = await listen(shouting());
  const other = new Listener(port);
  for (let i = 1; i <= 20; i++) {
    other.socket.write('x');
    await other.hears('X'.repeat(i));
  }
}

test('an isolated node hears nothing and says nothing; on healing everything goes on in order', async () => {
  const port = await listen(shouting());
  const isolation = isolationOf(({ localPort }) => localPort === port);
  const peer = new Listener(port);
  peer.socket.write('a');
  await peer.hears('A');
  isolation.isolate();
  equal(isolation.isolated(), true);
  for (const letter of 'bcd') {
    peer.socket.write(letter);
    await settle();
  }
  equal(peer.heard, 'A');
  isolation.heal();
  await peer.hears('ABCD');
});

test('what it writes by itself while isolated is held back and comes whole', async () => {
  const accepted: Socket[] = [];
  const port = await listen(createServer((socket) => accepted.push(socket)));
  const isolation = isolationOf(({ localPort }) => localPort === port);
  const peer = new Listener(port);
  await until(
    () => accepted.length === 1,
    () => 'not accepted',
  );
  isolation.isolate();
  const big = 'z'.repeat(300_000);
  for (const text of ['one ', 'two ', big]) accepted[0]!.write(text);
  accepted[0]!.end();
  await settle();
  equal(peer.heard, '');
  isolation.heal();
  await peer.hears(`one two ${big}<end>`);
});

test('a connection that is given up while isolated is closed for its peer only on healing', async () => {
  const accepted: Socket[] = [];
  const port = await listen(createServer((socket) => accepted.push(socket)));
  const isolation = isolationOf(({ localPort }) => localPort === port);
  const [ended, destroyed] = [new Listener(port), new Listener(port)];
  await until(
    () => accepted.length === 2,
    () => 'not accepted',
  );
  isolation.isolate();
  let closed = 0;
  accepted.forEach((socket) => socket.on('close', () => (closed += 1)));
  accepted.forEach((socket) => socket.destroy());
  await until(
    () => closed === 2,
    () => 'the isolated side itself sees its sockets close at once',
  );
  await settle();
  deepEqual([ended.heard, destroyed.heard], ['', '']);
  isolation.heal();
  await Promise.all([ended.hears('<end>'), destroyed.hears('<end>')]);
});

test('dialling a peer while isolated hangs, can be given up, and gets through on healing', async () => {
  let accepted = 0;
  const port = await listen(createServer(() => (accepted += 1)));
  const isolation = isolationOf(({ remotePort }) => remotePort === port);
  isolation.isolate();
  const [patient, impatient] = [new Listener(port), new Listener(port)];
  impatient.socket.destroy();
  await settle();
  equal(accepted, 0);
  equal(patient.socket.connecting, true);
  isolation.heal();
  await once(patient.socket, 'connect');
  await until(
    () => accepted === 1,
    () => `${accepted} accepted`,
  );
});

test('whoever dials an isolated node gets a connection and silence', async () => {
  const port = await listen(shouting());
  const isolation = isolationOf(({ localPort }) => localPort === port);
  isolation.isolate();
  const peer = new Listener(port);
  await once(peer.socket, 'connect');
  peer.socket.write('a');
  await settle();
  equal(peer.heard, '');
  isolation.heal();
  await peer.hears('A');
});

test('connections to others, Unix sockets among them, go on', async () => {
  const isolation = isolationOf(({ remotePort }) => remotePort === 1);
  isolation.isolate();
  await settle();
  const path = join(folder, 'echo.sock');
  const server = shouting().listen(path);
  await once(server, 'listening');
  const socket = connect(path);
  socket.write('a');
  const [data] = (await once(socket, 'data')) as [Buffer];
  equal(data.toString(), 'A');
  socket.destroy();
  server.close();
});

test('closing takes every hook out again', () => {
  const names = ['connect', '_read', '_writeGeneric', '_final', '_destroy'];
  const hooks = () => names.map((name) => (Socket.prototype as unknown as Record<string, unknown>)[name]);
  const before = hooks();
  const isolation = openIsolation(() => true);
  ok(hooks().every((hook, i) => hook !== before[i]));
  isolation.close();
  deepEqual(hooks(), before);
});

/** An HTTPS listener that sends a piece of its answer whenever it is told to. */
async function streaming() {
  let send = (_: string): void => {};
  let end = (): void => {};
  let cut = 0;
  const server = createHttpsServer({ ...credentials }, (_, response) => {
    response.on('close', () => (cut += response.writableFinished ? 0 : 1));
    send = (text) => void response.write(text);
    end = () => void response.end();
    response.write('begin ');
  });
  const port = await listen(server);
  return { port, send: (text: string) => send(text), end: () => end(), cut: () => cut };
}

for (const side of ['listener', 'dialler'] as const) {
  test(`HTTPS with the ${side} isolated: a stream falls silent and goes on after healing`, async () => {
    const served = await streaming();
    const isolation = isolationOf((ends) =>
      side === 'listener' ? ends.localPort === served.port : ends.remotePort === served.port,
    );
    const pool = new Pool(`https://127.0.0.1:${served.port}`, { connect: { rejectUnauthorized: false } });
    cleanups.push(() => pool.destroy());
    const { body } = await pool.request({ method: 'GET', path: '/' });
    let heard = '';
    body.on('data', (data: Buffer) => (heard += data.toString()));
    const hears = (text: string) =>
      until(
        () => heard === text,
        () => `heard "${heard}", not "${text}"`,
      );
    await hears('begin ');
    isolation.isolate();
    served.send('middle ');
    await settle();
    equal(heard, 'begin ');
    isolation.heal();
    await hears('begin middle ');
    served.end();
    await once(body, 'end');
  });

  test(`HTTPS with the ${side} isolated: a new request gets nowhere until healing`, async () => {
    const served = await streaming();
    const isolation = isolationOf((ends) =>
      side === 'listener' ? ends.localPort === served.port : ends.remotePort === served.port,
    );
    isolation.isolate();
    const pool = new Pool(`https://127.0.0.1:${served.port}`, { connect: { rejectUnauthorized: false } });
    cleanups.push(() => pool.destroy());
    let status = 0;
    const kept = pool.request({ method: 'GET', path: '/' }).then((response) => {
      status = response.statusCode;
      return response;
    });
    await settle();
    equal(status, 0);
    isolation.heal();
    equal((await kept).statusCode, 200);
    served.end();
    await (await kept).body.dump();
  });

  test(`HTTPS with the ${side} isolated: what it gives up is closed for the other only on healing`, async () => {
    const served = await streaming();
    const isolation = isolationOf((ends) =>
      side === 'listener' ? ends.localPort === served.port : ends.remotePort === served.port,
    );
    const pool = new Pool(`https://127.0.0.1:${served.port}`, { connect: { rejectUnauthorized: false } });
    cleanups.push(() => pool.destroy());
    const { body } = await pool.request({ method: 'GET', path: '/' });
    body.on('error', () => {});
    isolation.isolate();
    body.destroy();
    await settle();
    equal(served.cut(), 0);
    isolation.heal();
    if (side === 'dialler')
      await until(
        () => served.cut() === 1,
        () => 'the listener never saw it close',
      );
    const again = await pool.request({ method: 'GET', path: '/' });
    equal(again.statusCode, 200);
    served.end();
    await again.body.dump();
  });
}
