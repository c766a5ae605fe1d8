/** Nodes for commands to find: real control sockets, and a development cluster's state file, with no daemon behind them. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { writeDevState } from '../../src/cli/dev/state.ts';
import { openControl } from '../../src/control/server.ts';
import { processes } from '../../src/os/processes.ts';
import { fakeNode, type FakeNode } from '../control/operations.ts';

export async function tempDir(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-cli-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** A node that answers as `fakeNode` does, at the control socket in its data directory. */
export async function nodeIn(t: TestContext, dataDir: string, id = 'i-1'): Promise<FakeNode> {
  const node = fakeNode({ id });
  await mkdir(dataDir, { recursive: true });
  const server = await openControl({ dataDir, operations: node, drainMs: 70_000, isolate: null });
  t.after(() => server.close());
  return node;
}

/** A development cluster of two nodes, the first a second older, as far as the other commands can tell. */
export async function devCluster(
  t: TestContext,
  bootedAt: readonly [number, number] = [1_000, 2_000],
): Promise<{ readonly dir: string; readonly nodes: readonly FakeNode[] }> {
  const dir = await tempDir(t);
  const dataDirs = [join(dir, 'node-1'), join(dir, 'node-2')];
  const nodes = await Promise.all(dataDirs.map((dataDir, at) => nodeIn(t, dataDir, `i-${at + 1}`)));
  await writeDevState(dir, {
    pid: process.pid,
    start: processes.startOf(process.pid)!,
    cloud: join(dir, 'cloud.sock'),
    nodes: dataDirs.map((dataDir, at) => ({
      node: at + 1,
      id: `i-${at + 1}`,
      zone: `zone-${at}`,
      api: `http://127.0.0.1:${8000 + at}`,
      dataDir,
      control: join(dataDir, 'control.sock'),
      pid: process.pid,
      bootedAt: bootedAt[at]!,
    })),
  });
  return { dir, nodes };
}
