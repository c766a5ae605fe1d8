import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { runCli } from '../../src/cli/cli.ts';
import {
  startDevCluster,
  type DevCluster,
  type DevEvent,
  type DevOptions,
} from '../../src/cli/dev/cluster.ts';
import { clusterMark, instanceMark } from '../../src/cli/dev/environment.ts';
import { killMarked } from '../../src/cli/dev/kill.ts';
import { freePort } from '../../src/cli/dev/ports.ts';
import { readDevState } from '../../src/cli/dev/state.ts';
import { processes } from '../../src/os/processes.ts';
import { memoryIo } from './io.ts';

const standIn = join(import.meta.dirname, 'stand-in.ts');

async function until<T>(what: string, look: () => Promise<T | null | false> | T | null | false): Promise<T> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const found = await look();
    if (found !== null && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`in vain: ${what}`);
    await pause(20);
  }
}

type Place = { readonly dir: string; readonly basePort: number };

/** A directory and base port of its own. */
async function place(t: TestContext): Promise<Place> {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-dev-'));
  t.after(async () => {
    await running.get(dir)?.close();
    await killMarked(clusterMark(dir));
    await rm(dir, { recursive: true, force: true });
  });
  for (;;) {
    const basePort = await freePort();
    if (basePort < 65_000 && (await isFree(basePort + 1))) return { dir, basePort };
  }
}

/** By directory: hooks run in the order in which they were set, and a cluster closes before its directory goes. */
const running = new Map<string, DevCluster>();

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
    return true;
  } catch {
    return false;
  }
}

async function start(
  t: TestContext,
  given: Partial<DevOptions> = {},
): Promise<{ readonly cluster: DevCluster; readonly events: DevEvent[]; readonly dir: string }> {
  const events: DevEvent[] = [];
  const options: DevOptions = {
    ...(await place(t)),
    nodes: 2,
    flags: ['--faults'],
    env: { ...process.env, AWS_SECRET_ACCESS_KEY: 'real', AWS_PROFILE: 'real', SYNKTI_API_PORT: '1' },
    program: (args) => ({ command: process.execPath, args: [standIn, ...args] }),
    readyMs: 60_000,
    // Longer than an ended instance keeps its number.
    replaceAfterMs: 600,
    onEvent: (event) => events.push(event),
    ...given,
  };
  const cluster = await startDevCluster(options, new AbortController().signal);
  running.set(options.dir, cluster);
  return { cluster, events, dir: options.dir };
}

const chaos = async (dir: string, ...args: readonly string[]): Promise<string> => {
  const io = memoryIo();
  const code = await runCli(['chaos', ...args, '--dir', dir], io, () => Promise.resolve(0));
  equal(code, 0, io.stderr());
  return io.stdout();
};

const factOf = (event: DevEvent, fact: string) =>
  typeof event.said !== 'string' && (event.said.fact as string) === fact ? event.said : null;

test('nodes start as instances of the local cloud, with its environment and nothing of the real account', async (t) => {
  const { cluster, events, dir } = await start(t);
  const nodes = cluster.nodes();
  deepEqual(
    nodes.map(({ node, zone }) => [node, zone]),
    [
      [1, 'us-east-1a'],
      [2, 'us-east-1b'],
    ],
  );
  equal(Number(new URL(nodes[1]!.api).port), Number(new URL(nodes[0]!.api).port) + 1);
  const state = await until('the state file names both nodes', async () => {
    const state = await readDevState(dir);
    return state?.nodes.length === 2 && state;
  });
  deepEqual(state.nodes, nodes);
  const { args, env } = await until('node 2 said how it was started', () => {
    const event = events.find((event) => event.node === 2 && factOf(event, 'node.started'));
    return (event?.said as unknown as { args: string[]; env: string[] } | undefined) ?? null;
  });
  deepEqual(args.slice(0, 3), ['run', '--data-dir', nodes[1]!.dataDir]);
  equal(args.at(-1), '--faults');
  deepEqual(env.sort(), [
    'AWS_CONFIG_FILE',
    'AWS_EC2_METADATA_SERVICE_ENDPOINT',
    'AWS_EC2_METADATA_V1_DISABLED',
    'AWS_ENDPOINT_URL',
    'AWS_REGION',
    'AWS_SHARED_CREDENTIALS_FILE',
    'SYNKTI_DEV_DIR',
    'SYNKTI_INSTANCE_ID',
  ]);
});

test('closing leaves no process, no file and no directory behind', async (t) => {
  const { cluster, dir } = await start(t);
  equal((await processes.marked(clusterMark(dir))).length, 4, 'two daemons and two engines');
  await cluster.close();
  deepEqual(await processes.marked(clusterMark(dir)), []);
  await rejects(readdir(dir), { code: 'ENOENT' });
});

test('a killed instance is gone with its engine, and a new one takes its number with a fresh disk', async (t) => {
  const { cluster, dir } = await start(t);
  const [, lost] = cluster.nodes();
  await writeFile(join(lost!.dataDir, 'identity.key'), 'mine');
  equal(await chaos(dir, 'kill', '2'), 'node 2 is killed\n');
  await until('no process of the lost instance', async () => {
    return (await processes.marked(instanceMark(dir, lost!))).length === 0;
  });
  const replacement = await until('a replacement', () => {
    return cluster.nodes().find(({ node, id }) => node === 2 && id !== lost!.id) ?? null;
  });
  equal(replacement.api, lost!.api);
  ok(!(await readdir(replacement.dataDir)).includes('identity.key'));
});

test('a daemon that crashes is started again beside its engine, as systemd would', async (t) => {
  const { cluster, dir } = await start(t);
  const [first] = cluster.nodes();
  await chaos(dir, 'kill', '1', '--only', 'daemon');
  const again = await until(
    'another process',
    () => cluster.nodes().find(({ node, pid }) => node === 1 && pid !== first!.pid) ?? null,
  );
  equal(again.id, first!.id, 'the same instance');
  const marked = await processes.marked(instanceMark(dir, first!));
  ok(
    marked.some(({ pid }) => pid !== again.pid),
    'the engine outlived its daemon',
  );
});

test('freeze and thaw reach every process of the instance, or only a part of it', async (t) => {
  const { cluster, dir } = await start(t);
  const { id, pid } = cluster.nodes()[0]!;
  const engine = (await processes.marked(instanceMark(dir, { node: 1, id }))).find(
    (found) => found.pid !== pid,
  )!.pid;
  const isStopped = async (pid: number): Promise<boolean> =>
    / T /.test((await readFile(`/proc/${pid}/stat`, 'utf8')).slice(0, 60));
  const become = (stopped: readonly boolean[]): Promise<unknown> =>
    until(`${stopped.join()} stopped`, async () => {
      const found = await Promise.all([pid, engine].map(isStopped));
      return found.join() === stopped.join();
    });
  await chaos(dir, 'freeze', '1', '--only', 'engine');
  await become([false, true]);
  await chaos(dir, 'thaw', '1', '--only', 'engine');
  await become([false, false]);
  await chaos(dir, 'freeze', id);
  await become([true, true]);
  await chaos(dir, 'thaw', id);
  await become([false, false]);
});

test('a partition is told to the node itself', async (t) => {
  const { events, dir } = await start(t);
  await chaos(dir, 'partition', '2');
  await until('isolated', () =>
    events.some((event) => event.node === 2 && factOf(event, 'isolated')?.['on'] === true),
  );
  await chaos(dir, 'heal', '2');
  await until('joined', () =>
    events.some((event) => event.node === 2 && factOf(event, 'isolated')?.['on'] === false),
  );
});

test('an interruption notice ends in the loss of the instance', async (t) => {
  const { cluster, dir, events } = await start(t);
  const [first] = cluster.nodes();
  match(
    await chaos(dir, 'interrupt', '1', '--notice', '300ms'),
    /^node 1 has a notice and ends at \d\d:\d\d:\d\d\n$/,
  );
  await until('the notice was told', () =>
    events.some((event) => event.node === 1 && factOf(event, 'cloud.interruption')),
  );
  await until('its end', () => !cluster.nodes().some(({ id }) => id === first!.id));
});

test('what keeps a cluster from starting is one Failure, and nothing is left of the attempt', async (t) => {
  const { dir, basePort } = await place(t);
  await rejects(start(t, { dir, basePort, flags: ['--crash'] }), {
    kind: 'unreachable',
    message: /^node [12] did not start: exit code 1$/,
  });
  await rejects(readdir(dir), { code: 'ENOENT' });
  const taken = createServer().listen(basePort + 1, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  await rejects(start(t, { dir, basePort }), {
    kind: 'busy',
    message: `port ${(taken.address() as AddressInfo).port}: in use by another program: choose another --base-port`,
  });
  await rejects(readdir(dir), { code: 'ENOENT' });
});

test('a directory that cannot be used, or written any more, is said in words', async (t) => {
  const { dir, basePort } = await place(t);
  const file = join(dir, 'file');
  await writeFile(file, '');
  await rejects(start(t, { dir: file, basePort }), {
    kind: 'invalid',
    message: `--dir: data directory ${file}: a file stands in the way: choose another`,
  });
  await rm(file);
  const { events } = await start(t, { dir, basePort });
  // In the way of what is written next.
  await mkdir(join(dir, 'dev.json.new'));
  await chaos(dir, 'kill', '2');
  await until('a word on it', () =>
    events.some(({ node, said }) => node === null && said === `--dir: data directory ${dir}: EISDIR`),
  );
});

test('one directory holds one cluster, and nothing of anybody else', async (t) => {
  const { dir, basePort } = await place(t);
  await start(t, { dir, basePort });
  await rejects(start(t, { dir, basePort }), {
    kind: 'busy',
    message: /^a development cluster runs in .* already/,
  });
  const { dir: other } = await place(t);
  await writeFile(join(other, 'thesis.tex'), '');
  await rejects(start(t, { dir: other, basePort }), {
    kind: 'denied',
    message: /holds other things \(thesis.tex\)/,
  });
  deepEqual(await readdir(other), ['thesis.tex']);
});

test('a cluster whose process is killed is cleared away all the same', async (t) => {
  const { dir, basePort } = await place(t);
  const child: ChildProcess = fork(join(import.meta.dirname, 'dev-child.ts'), [dir, `${basePort}`, standIn]);
  await once(child, 'message');
  ok((await processes.marked(clusterMark(dir))).length >= 2);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await until('no process is left', async () => (await processes.marked(clusterMark(dir))).length === 0);
  await until('no file is left', () => !existsSync(dir));
});
