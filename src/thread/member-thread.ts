/**
 * Starts the membership thread and watches over it. It may fail in three ways: it does not come up, it ends, or it
 * stands still. Each is the end of the daemon, which starts again with an empty thread and finds its engine running:
 * a node whose membership is gone is dead to its peers while it still answers its clients.
 *
 * Standing still is counted in rounds of our own timer, not in time: after a stall of this thread, or of the whole
 * process, one round has passed and the pulses are there to be read.
 */
import { Worker, type ResourceLimits } from 'node:worker_threads';
import type { GaugeSample, TotalSample } from '../node/facts.ts';
import { Failure } from '../std/failure.ts';
import type { FromThread, Setup, ToThread } from './messages.ts';
import { RemoteCluster } from './remote-cluster.ts';

/** From source the file, in the executable the script itself. */
export type ThreadCode =
  { readonly type: 'file'; readonly url: URL } | { readonly type: 'script'; readonly text: string };

type Patience = {
  /** Compiling takes 40 ms, and seconds where sixteen nodes start on two cores. */
  readonly upMs: number;
  /** A round without a pulse, which is due every second, is a bad sign; `stillRounds` of them are the end. */
  readonly roundMs: number;
  readonly stillRounds: number;
};

export const patience: Patience = { upMs: 30_000, roundMs: 5_000, stillRounds: 6 };

/**
 * The young heap is small, because an idle thread fills it before it is swept. The old one has room for a thousand
 * members ten times over: what grows beyond is a leak, and ends us before it takes the engine's memory.
 */
const limits: ResourceLimits = { maxYoungGenerationSizeMb: 6, maxOldGenerationSizeMb: 512 };

type Main = Omit<ConstructorParameters<typeof RemoteCluster>[0], 'post' | 'own'>;

export type MemberThread = {
  readonly cluster: RemoteCluster;
  /** Resolves when the thread has failed, and never when it was closed. */
  readonly failed: Promise<Failure>;
  /** What it costs and does, for whoever scrapes. */
  samples(): readonly (GaugeSample | TotalSample)[];
  /** Ends the thread, whether or not the cluster was closed. */
  close(): Promise<void>;
};

/** Failure `late`: it did not come up in time; `unreachable`: it ended at once. */
export async function startMemberThread(
  {
    code,
    setup,
    patience,
  }: { readonly code: ThreadCode; readonly setup: Setup; readonly patience: Patience },
  main: Main,
): Promise<MemberThread> {
  const worker = new Worker(code.type === 'file' ? code.url : code.text, {
    eval: code.type === 'script',
    name: 'membership',
    workerData: setup,
    resourceLimits: limits,
  });
  const post = (message: ToThread): void => worker.postMessage(message);
  const cluster = new RemoteCluster({ ...main, own: setup.own, post });
  const failed = Promise.withResolvers<Failure>();
  let closing = false;
  const fail = (kind: 'late' | 'unreachable', why: string, cause?: unknown): void => {
    const failure = new Failure(kind, `membership thread: ${kind}: ${why}`, cause);
    cluster.end(failure);
    if (!closing) failed.resolve(failure);
  };
  worker.on('error', (error) => fail('unreachable', String(error).split('\n')[0]!, error));
  worker.on('exit', (exitCode) => fail('unreachable', `ended with code ${exitCode}`));
  let rounds = 0;
  worker.on('message', (message: FromThread) => {
    rounds = 0;
    cluster.onMessage(message);
  });
  const late = setTimeout(() => fail('late', `not up within ${patience.upMs} ms`), patience.upMs);
  const first = await Promise.race([cluster.up, failed.promise]);
  clearTimeout(late);
  if (first !== undefined) {
    await worker.terminate();
    throw first;
  }
  const round = setInterval(() => {
    rounds++;
    if (rounds > patience.stillRounds) fail('late', 'stands still');
  }, patience.roundMs);
  return {
    cluster,
    failed: failed.promise,
    samples: () => samplesOf(cluster),
    close: async () => {
      closing = true;
      clearInterval(round);
      await worker.terminate();
    },
  };
}

function samplesOf({ pulse }: RemoteCluster): readonly (GaugeSample | TotalSample)[] {
  if (pulse === null) return [];
  return [
    { name: 'synkti_membership_cpu_seconds_total', value: pulse.cpuSeconds },
    { name: 'synkti_membership_beats_sent_total', value: pulse.beatsSent },
    { name: 'synkti_membership_beats_heard_total', value: pulse.beatsHeard },
    { name: 'synkti_membership_bytes_sent_total', value: pulse.bytesSent },
    { name: 'synkti_membership_lag_seconds', labels: {}, value: pulse.lagSeconds },
  ];
}
