/** The candidates for one duty, each beside a daemon, and the book of what they committed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { instanceEnvironment } from '../../src/cli/dev/environment.ts';
import type { Lab } from '../lab/lab.ts';

const program = join(import.meta.dirname, 'duty.ts');
const bucket = 'lease-trial';
/** Short, so that a trial sees it change hands. */
export const ttlMs = 4_000;

type Entry = {
  readonly by: ChildProcess;
  /** Of one process. */
  readonly run: string;
  readonly epoch: number;
  readonly commit: 'committed' | 'refused' | 'not-held' | 'unsure' | 'failed';
  /** Epoch ms: when it was begun, and when its outcome was known. */
  readonly from: number;
  readonly to: number;
};

export type LeaseReport = {
  /** Epochs under which something was committed. */
  readonly epochs: number;
  readonly commits: number;
  /** Commits that the fence or the lease kept out. */
  readonly kept: number;
  /** Pairs of commits under one epoch by two processes, and commits under an epoch lower than one that was done before. */
  readonly violations: number;
};

export class Duties {
  readonly #lab: Lab;
  readonly #candidates: ChildProcess[] = [];
  readonly #entries: Entry[] = [];

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** Makes the bucket, as who sets the cluster up does. */
  async prepare(): Promise<void> {
    const { CreateBucketCommand, S3Client } = await import('@aws-sdk/client-s3');
    const { endpoint, operatorCredentials: credentials } = this.#lab.cloud;
    const client = new S3Client({ endpoint, credentials, region: 'us-east-1', forcePathStyle: true });
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    client.destroy();
  }

  start(index: number): void {
    const { daemons, wires, dir } = this.#lab;
    const { dataDir, id, instance } = daemons[index]!;
    const { imdsEndpoint, awsEndpoint, region } = instance;
    const [command = '', ...args] = [
      ...[...(wires?.inside(index) ?? []), process.execPath, program],
      ...[dataDir, id, imdsEndpoint, awsEndpoint, region, bucket, `${ttlMs}`],
    ];
    const env = instanceEnvironment(process.env, instance, dir);
    const child = spawn(command, args, { detached: true, stdio: ['ignore', 'pipe', 'inherit'], env });
    this.#candidates.push(child);
    createInterface({ input: child.stdout }).on('line', (line) => {
      const said = JSON.parse(line) as Partial<Entry>;
      if (said.commit !== undefined) this.#entries.push({ ...(said as Entry), by: child });
    });
  }

  /** Who committed last; null: nobody has yet. */
  holder(): ChildProcess | null {
    return this.#entries.findLast(({ commit }) => commit === 'committed')?.by ?? null;
  }

  /** Under which epoch was committed last. */
  epoch(): number {
    return this.#entries.findLast(({ commit }) => commit === 'committed')?.epoch ?? 0;
  }

  /** Each lets go and ends. */
  async close(): Promise<void> {
    const living = this.#candidates.filter(
      ({ exitCode, signalCode }) => exitCode === null && signalCode === null,
    );
    const ended = living.map((child) => once(child, 'exit'));
    for (const child of living) child.kill('SIGCONT');
    for (const child of living) child.kill('SIGTERM');
    await Promise.all(ended);
  }

  report(): LeaseReport {
    const done = this.#entries.filter(({ commit }) => commit === 'committed');
    const byEpoch = Map.groupBy(done, ({ epoch }) => epoch);
    const shared = [...byEpoch.values()].filter((entries) => new Set(entries.map(({ run }) => run)).size > 1);
    return {
      epochs: byEpoch.size,
      commits: done.length,
      kept: this.#entries.filter(({ commit }) => commit === 'refused' || commit === 'not-held').length,
      violations: shared.length + outOfOrder(done),
    };
  }
}

/** Commits that were begun after one of a higher epoch had been done. */
function outOfOrder(done: readonly Entry[]): number {
  const ends = [...done].sort((a, b) => a.to - b.to);
  const begins = [...done].sort((a, b) => a.from - b.from);
  let [highest, at, found] = [0, 0, 0];
  for (const { epoch, from } of begins) {
    for (; at < ends.length && ends[at]!.to < from; at++) highest = Math.max(highest, ends[at]!.epoch);
    if (epoch < highest) found++;
  }
  return found;
}
