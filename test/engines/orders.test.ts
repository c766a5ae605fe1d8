/** Orders that cross: what was ordered first is not done yet when the next one comes. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Event } from '../../src/engine/orders.ts';
import type { EngineHost } from '../../src/engines/host.ts';
import { processes } from '../../src/os/processes.ts';
import { Bench, until } from './bench.ts';

let bench: Bench;
beforeEach(() => (bench = new Bench()));
afterEach(() => bench.clear());

/** What it answers. */
const perform = (
  host: EngineHost,
  type: 'spawn' | 'sweep' | 'check',
  life: number,
  onExit = (_: Event): void => {},
): Promise<Event> =>
  new Promise((resolve) =>
    host.perform({ type, life }, (event) => (event.type === 'exited' ? onExit : resolve)(event)),
  );

function pidOf(event: Event): number {
  if (event.type !== 'spawned' || event.pid === null) throw new Error(`it was ${event.type}`);
  return event.pid;
}

test('[E8] a stop that comes while the engine is being spawned leaves none running, however soon it comes', async () => {
  const host = bench.host(bench.spec());
  for (const [turns, life] of [0, 1, 2, 3, 5, 8, 13, 21].map((turns, i) => [turns, i + 1] as const)) {
    const spawned = perform(host, 'spawn', life);
    for (let i = 0; i < turns; i++) await turn();
    host.perform({ type: 'kill', life }, () => {});
    const swept = await perform(host, 'sweep', life);
    await spawned;
    deepEqual([swept, await bench.processes()], [{ type: 'swept', life, left: 0 }, []], `${turns} turns`);
  }
});

test('[E8] a spawn that something held up launches nothing once its engine was ordered to end', async () => {
  const launched: string[] = [];
  const launch: typeof processes.launch = (order) => {
    launched.push(order.command);
    return processes.launch(order);
  };
  const host = bench.host(bench.spec(), { launch });
  const spawned = perform(host, 'spawn', 1);
  const swept = perform(host, 'sweep', 1);
  deepEqual([(await spawned).type, (await swept).type, launched], ['spawn.failed', 'swept', []]);
});

/** Whoever looks for the engine's processes is held up, until he is let go. */
function slowToLook() {
  const [looking, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const marked: typeof processes.marked = async (mark) => {
    looking.resolve();
    await held.promise;
    return processes.marked(mark);
  };
  return { marked, looking: looking.promise, letGo: held.resolve };
}

const livingPids = async () => (await bench.processes()).map(({ pid }) => pid);

test('[E7] a sweep that comes late leaves the next engine alone, and all that it needs', async () => {
  const { marked, looking, letGo } = slowToLook();
  const host = bench.host(bench.spec(), { marked });
  const swept = perform(host, 'sweep', 1);
  await looking;
  // The supervision has given it up meanwhile.
  const spawned = await perform(host, 'spawn', 2);
  letGo();
  equal((await swept).type, 'swept');
  deepEqual([spawned.type, await livingPids()], ['spawned', [pidOf(spawned)]]);
  ok(existsSync(join(bench.dataDir, 'engine.json')));
});

test('[E7] a kill that comes late leaves the next engine alone', async () => {
  const { marked, looking, letGo } = slowToLook();
  const host = bench.host(bench.spec(), { marked });
  const exited = Promise.withResolvers<Event>();
  const first = await perform(host, 'spawn', 1, exited.resolve);
  host.perform({ type: 'kill', life: 1 }, () => {});
  await looking;
  process.kill(pidOf(first), 'SIGKILL');
  await exited.promise;
  const second = await perform(host, 'spawn', 2);
  // Comes after the kill.
  const swept = perform(host, 'sweep', 1);
  letGo();
  await swept;
  deepEqual(await livingPids(), [pidOf(second)]);
});

test('[E14] nobody who asks after an engine hears that it lives when it ends meanwhile', async () => {
  const exit = Promise.withResolvers<{ code: number | null; signal: string | null }>();
  const launch: typeof processes.launch = async (order) => ({
    ...(await processes.launch(order)),
    exited: exit.promise,
  });
  const spec = bench.spec();
  const host = bench.host(spec, { launch });
  await perform(host, 'spawn', 1);
  const ask = async (path: string, body: object | null): Promise<string> => {
    const method = body === null ? 'GET' : 'POST';
    const more = body === null ? {} : { body: JSON.stringify(body) };
    const response = await host.dispatcher.request({ origin: host.origin, method, path, ...more });
    return response.body.text();
  };
  await until(
    () => existsSync(spec.socket),
    () => 'it listens',
  );
  await ask('/behave', { health: null });
  const checked = perform(host, 'check', 1);
  await until(
    async () => (await ask('/asked', null)).includes('GET /health'),
    () => 'its health was asked',
  );
  exit.resolve({ code: 1, signal: null });
  const answer = await checked;
  equal(answer.type === 'checked' && answer.isDead, true, JSON.stringify(answer));
});
