/**
 * synkti as one gateway of the bench: an entry node without an engine, one node beside each engine, and two that hold
 * the copies of its journal and do nothing else. Copies stand in other zones than the entry node where they can, and
 * requests stay in its zone where they can; so who has which zone decides who does what, and each can be counted alone.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openLab } from '../../lab/lab.ts';
import type { Program } from '../../lab/program.ts';
import type { Gateway, Ground } from './others.ts';
import { pinGateway } from './process.ts';

export type Ours = Gateway & {
  /** Those beside an engine. */
  readonly serving: readonly number[];
  /** Those that hold copies. */
  readonly replicas: readonly number[];
  /** Copies of streams that the other nodes hold just now: a busy moment may have sent one elsewhere. */
  copies(): Promise<number>;
};

const replicaCount = 2;
/** A busy machine takes its time to start seven processes. */
const readyMs = 120_000;

/** The entry node, who holds copies, and then one for each engine. */
const zonesFor = (engines: number): readonly string[] => [
  ...['us-east-1a', 'us-east-1b', 'us-east-1c'],
  ...Array.from({ length: engines }, () => 'us-east-1a'),
];

export async function openOurs({ dir, engines }: Ground, program: Program): Promise<Ours> {
  const home = join(dir, 'synkti');
  await mkdir(home, { recursive: true });
  const key = `sk-${randomBytes(24).toString('base64url')}`;
  const sha256 = createHash('sha256').update(key).digest('hex');
  const keys = join(home, 'api-keys.yaml');
  await writeFile(keys, `- name: bench\n  sha256: ${sha256}\n`);
  const zones = zonesFor(engines.length);
  const lab = await openLab({
    nodes: zones.length,
    zones,
    ground: { dir: home, isEnclosed: false, why: 'nobody is cut off here' },
    program,
    flags: (index) => {
      const engine = engines[index - 1 - replicaCount];
      const role = engine === undefined ? ['--role', 'edge'] : ['--engine', engine, '--model', 'simulated'];
      return [...role, '--api-keys', keys];
    },
    logs: null,
  });
  const [entry, ...others] = lab.daemons;
  const replicas = others.slice(0, replicaCount);
  const headers = { authorization: `Bearer ${key}` };
  const isReady = async (): Promise<boolean> => (await modelsAt(entry!.api, headers)) > 0;
  await until(isReady, readyMs);
  pinGateway(entry!.pid);
  return {
    ...{ url: entry!.api, headers, pids: [entry!.pid] },
    serving: others.slice(replicaCount).map(({ pid }) => pid),
    replicas: replicas.map(({ pid }) => pid),
    copies: async () => {
      const held = await Promise.all(others.map(({ api }) => copiesAt(api)));
      return held.reduce((sum, count) => sum + count, 0);
    },
    close: () => lab.close(),
  };
}

async function modelsAt(api: string, headers: Readonly<Record<string, string>>): Promise<number> {
  const answer = await fetch(`${api}/v1/models`, { headers, signal: AbortSignal.timeout(5_000) });
  return ((await answer.json()) as { readonly data: readonly unknown[] }).data.length;
}

async function copiesAt(api: string): Promise<number> {
  const answer = await fetch(`${api}/metrics`, { signal: AbortSignal.timeout(5_000) });
  const line = /^synkti_journals\{whose="others"\} (\d+)/m.exec(await answer.text());
  return Number(line?.[1] ?? 0);
}

async function until(holds: () => Promise<boolean>, withinMs: number): Promise<void> {
  for (const late = performance.now() + withinMs; !(await holds());) {
    if (performance.now() > late) throw new Error(`not ready within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
