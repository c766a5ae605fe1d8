/** The outcomes of a probe against real kernels; a host that drops everything lives in a network namespace. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { afterEach, test } from 'node:test';
import { promisify } from 'node:util';
import { openProbe } from '../../src/os/probe.ts';

const run = promisify(execFile);
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function listen(server: Server, backlog = 511): Promise<{ host: string; port: number }> {
  server.listen({ port: 0, host: '127.0.0.1', backlog });
  await once(server, 'listening');
  cleanups.push(() => server.close());
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

/** Within `ms`, and the first answer counts. */
const briefly = (ms: number): Parameters<ReturnType<typeof openProbe>>[1] => ({ ms, standMs: 0 });

/** A program of its own that listens, and stops itself as soon as it does. */
async function startFrozenListener(backlog: number) {
  const script = `require('net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: ${backlog} }, function () {
    require('fs').writeSync(1, String(this.address().port));
    process.kill(process.pid, 'SIGSTOP');
  });`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  cleanups.push(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { pid: child.pid!, address: { host: '127.0.0.1', port: Number(line.toString()) } };
}

test('a listener answers, and its process sees the connection end with a reset', async () => {
  const ends: unknown[] = [];
  const server = createServer((socket) => {
    socket.on('error', (error: NodeJS.ErrnoException) => ends.push(error.code));
    socket.on('close', () => ends.push('close'));
    socket.resume();
  });
  const address = await listen(server);
  equal(await openProbe()(address, briefly(1_000)), 'answered');
  while (ends.length < 2) await new Promise((resolve) => setTimeout(resolve, 2));
  deepEqual(ends, ['ECONNRESET', 'close']);
});

test('a stopped process still answers, and refuses once it is gone', async () => {
  const { pid, address } = await startFrozenListener(1_024);
  const probe = openProbe();
  const outcomes = await Promise.all(Array.from({ length: 40 }, () => probe(address, briefly(1_000))));
  deepEqual([...new Set(outcomes)], ['answered']);
  process.kill(pid, 'SIGKILL');
  const until = performance.now() + 5_000;
  let outcome = await probe(address, briefly(250));
  // A killed process closes its listener some moments after the signal.
  while (outcome === 'answered' && performance.now() < until) outcome = await probe(address, briefly(250));
  equal(outcome, 'refused');
});

test('an answer that does not stand is asked for again, and refused once the listener has closed', async () => {
  const { pid, address } = await startFrozenListener(1_024);
  const asked = openProbe()(address, { ms: 1_000, standMs: 30_000 });
  // It stands in the accept queue by then; whenever the kernel closes the listener, that is what resets it.
  equal(await openProbe()(address, briefly(1_000)), 'answered');
  process.kill(pid, 'SIGKILL');
  equal(await asked, 'refused');
});

test('an answer that stands for as long as it should is one, and so is that of who resets one connection and lives', async () => {
  const address = await listen(createServer((socket) => socket.on('error', () => 'we reset it')));
  const started = performance.now();
  equal(await openProbe()(address, { ms: 1_000, standMs: 60 }), 'answered');
  ok(performance.now() - started > 55);
  const rude = await listen(
    createServer((socket) => socket.on('error', () => 'we reset it too').resetAndDestroy()),
  );
  equal(await openProbe()(rude, { ms: 1_000, standMs: 30_000 }), 'answered');
});

test('a port that nobody holds refuses', async () => {
  const server = createServer();
  const address = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  equal(await openProbe()(address, briefly(1_000)), 'refused');
});

test('a host whose packets are dropped is silent, no sooner than the deadline', async (t) => {
  const name = `synkti-${process.pid}`;
  const [here, there] = ['198.51.100.1', '198.51.100.2'];
  const [a, b] = [`sa${process.pid}`, `sb${process.pid}`];
  try {
    await run('ip', ['netns', 'add', name]);
    cleanups.push(() => run('ip', ['netns', 'del', name]));
    await run('ip', ['link', 'add', a, 'type', 'veth', 'peer', 'name', b]);
    cleanups.push(() => run('ip', ['link', 'del', a]).catch(() => 'gone with its namespace'));
    await run('ip', ['link', 'set', b, 'netns', name]);
    await run('ip', ['addr', 'add', `${here}/30`, 'dev', a]);
    await run('ip', ['link', 'set', a, 'up']);
    await run('ip', ['-n', name, 'addr', 'add', `${there}/30`, 'dev', b]);
    await run('ip', ['-n', name, 'link', 'set', b, 'up']);
  } catch (error) {
    return t.skip(`no network namespaces here: ${(error as Error).message.trim()}`);
  }
  const probe = openProbe();
  const address = { host: there, port: 4001 };
  // A link is not up as soon as it is told to be.
  const until = performance.now() + 30_000;
  let outcome = await probe(address, briefly(1_000));
  while (outcome === 'silent' && performance.now() < until) outcome = await probe(address, briefly(1_000));
  equal(outcome, 'refused', 'the host is up');
  // Its neighbour's hardware address is known by now, so packets go out and nobody takes them.
  await run('ip', ['-n', name, 'addr', 'del', `${there}/30`, 'dev', b]);
  const started = performance.now();
  equal(await probe(address, briefly(250)), 'silent');
  ok(performance.now() - started >= 249);
  return undefined;
});

test('a full accept queue is silent as well: that is why probes are few', async () => {
  const { address } = await startFrozenListener(1);
  const probe = openProbe();
  const outcomes = await Promise.all(Array.from({ length: 12 }, () => probe(address, briefly(300))));
  ok(outcomes.includes('silent'), outcomes.join());
});

test('an event loop that stood still does not take its own silence for that of the peer', async () => {
  const address = await listen(createServer((socket) => socket.on('error', () => socket.destroy())));
  const outcome = openProbe()(address, briefly(50));
  await new Promise((resolve) => setImmediate(resolve));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
  equal(await outcome, 'answered');
});

test('what cannot be asked is a failure, and no outcome', async () => {
  await rejects(openProbe()({ host: 'no-such-host.invalid', port: 4001 }, briefly(2_000)), {
    kind: 'unreachable',
  });
});

test('a burst waits its turn, fifty in a second after the first sixty-four', async () => {
  let [now, most] = [0, 0];
  const server = createServer((socket) => {
    most = Math.max(most, ++now);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => now--);
  });
  const address = await listen(server, 1_024);
  const probe = openProbe();
  const started = performance.now();
  const outcomes = await Promise.all(Array.from({ length: 84 }, () => probe(address, briefly(2_000))));
  const tookMs = performance.now() - started;
  ok(
    outcomes.every((outcome) => outcome === 'answered'),
    outcomes.join(),
  );
  ok(tookMs >= 350, `${tookMs} ms`);
  ok(most <= 64, `${most} at once`);
});

test('more than can be asked in time is turned away', async () => {
  const { pid, address } = await startFrozenListener(1_024);
  const probe = openProbe();
  const asked = Array.from({ length: 300 }, () =>
    probe(address, briefly(100)).catch((error: { kind: string }) => error.kind),
  );
  equal(await asked.at(-1), 'busy');
  process.kill(pid, 'SIGKILL');
  const outcomes = await Promise.all(asked);
  equal(outcomes.filter((outcome) => outcome === 'busy').length, 300 - 64 - 128);
});
