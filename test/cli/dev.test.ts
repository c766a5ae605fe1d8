/** `synkti dev` whole, with a real node: from the command line to nothing left. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { clusterMark } from '../../src/cli/dev/environment.ts';
import { killMarked } from '../../src/cli/dev/kill.ts';
import { freePort } from '../../src/cli/dev/ports.ts';
import { processes } from '../../src/os/processes.ts';

const main = join(import.meta.dirname, '../../src/main.ts');
type Ready = {
  readonly nodes: readonly { readonly api: string; readonly pid: number }[];
  readonly readyMs: number;
};

async function dev(t: TestContext, dir: string, ...flags: readonly string[]): Promise<ChildProcess> {
  const args = [
    main,
    'dev',
    '--json',
    '--nodes',
    '1',
    '--base-port',
    `${await freePort()}`,
    '--dir',
    dir,
    ...flags,
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(async () => {
    child.kill('SIGKILL');
    await killMarked(clusterMark(dir));
    await rm(dir, { recursive: true, force: true });
  });
  return child;
}

async function firstReady(child: ChildProcess): Promise<Ready> {
  for await (const line of createInterface({ input: child.stdout! })) {
    const { ready } = JSON.parse(line) as { ready?: Ready };
    if (ready !== undefined) return ready;
  }
  throw new Error('it ended before it was ready');
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  test(`a cluster answers, and ${signal} leaves nothing of it`, { timeout: 60_000 }, async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'synkti-dev-'));
    const child = await dev(t, dir);
    const { nodes, readyMs } = await firstReady(child);
    child.stdout!.resume();
    ok(readyMs > 0);
    const models = await fetch(`${nodes[0]!.api}/v1/models`);
    deepEqual(
      ((await models.json()) as { data: { id: string }[] }).data.map(({ id }) => id),
      ['simulated'],
    );
    child.kill(signal);
    deepEqual(await once(child, 'exit'), [0, null]);
    deepEqual(await processes.marked(clusterMark(dir)), []);
    equal(existsSync(dir), false);
  });

test('a node that refuses its flags ends the start with its own words', { timeout: 60_000 }, async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-dev-'));
  const child = await dev(t, dir, '--', '--drain', 'never');
  let talk = '';
  child.stderr!.on('data', (chunk: Buffer) => (talk += chunk.toString()));
  child.stdout!.resume();
  const [code] = (await once(child, 'exit')) as [number];
  equal(code, 1);
  match(talk, /synkti: --drain: "never" is not a duration/);
  match(talk, /\nsynkti: node 1 did not start: exit code 2\n$/);
  equal(existsSync(dir), false);
});
