/**
 * The effect of a duty that must not happen twice, nor in the wrong order: the manifest `duties/<duty>/manifest` says
 * under which epoch its content was committed, and is replaced only by who has read it and whose epoch is not lower.
 *
 * That holds whatever clocks, pauses and leases do: a holder that has slept through the end of its lease finds the
 * epoch of the next one, or loses against its ETag. The lease only keeps two from doing the work; this keeps the
 * work of one. What is too large for a manifest is written before under `duties/<duty>/<epoch>/`, and named in it.
 */
import { z } from 'zod';
import { backoffMs } from '../std/backoff.ts';
import { Failure, retryable } from '../std/failure.ts';
import type { Rng } from '../std/random.ts';
import { pause } from './pause.ts';
import type { Clock, Document, LeaseStore } from './ports.ts';
import { within } from './within.ts';

export type Commit =
  | { readonly type: 'committed' }
  /** A higher epoch has committed. Ours changed nothing. */
  | { readonly type: 'refused'; readonly by: number }
  /** The lease ended before anything was written. */
  | { readonly type: 'not-held' }
  /**
   * The answer to a write was lost, and what came after has covered it, or it may yet come through. `by`: a higher
   * epoch that has committed since; null: none was seen.
   */
  | { readonly type: 'unsure'; readonly by: number | null };

export type Effect = {
  readonly duty: string;
  readonly epoch: number;
  /** Unlike any other's. */
  readonly nonce: string;
  readonly content: string;
  /** Asked before every write. */
  readonly held: () => boolean;
};

type CommitPorts = { readonly clock: Clock; readonly store: LeaseStore; readonly rng: Rng };

/** Someone else's write comes between only while a lease changes hands; S3's moods last longer. */
const attemptsMax = 10;
/** S3 answers small writes within 100 ms, and rarely within seconds. */
const callMs = 3_000;
const backoff = { baseMs: 50, capMs: 2_000 };

const shape = z.object({
  epoch: z.int().min(1),
  nonce: z.string().min(1).max(200),
  content: z.string(),
});

export const manifestKey = (duty: string): string => `duties/${duty}/manifest`;

type Outcome = Exclude<Commit, { readonly type: 'unsure' }>;

type Attempt =
  | Outcome
  /** `lost`: the write that failed may be there. */
  | { readonly type: 'again'; readonly failure: Failure | null; readonly lost: boolean };

/** Throws a Failure when nothing was written and S3 does not answer, or not in a way that makes sense. */
export async function commit(effect: Effect, ports: CommitPorts, signal: AbortSignal): Promise<Commit> {
  const trail = `commit ${effect.duty} under epoch ${effect.epoch}`;
  let lost = false;
  let failure: Failure | null = null;
  let { rng } = ports;
  for (let attempt = 0; attempt < attemptsMax && !signal.aborted; attempt += 1) {
    if (attempt > 0) {
      const [waitMs, next] = backoffMs({ attempt, ...backoff }, rng);
      rng = next;
      await pause({ clock: ports.clock, stopping: signal }, waitMs);
    }
    const outcome = await tryOnce(effect, ports, signal);
    if (outcome.type !== 'again') return lost ? knownOf(outcome) : outcome;
    lost ||= outcome.lost;
    failure = outcome.failure;
    if (failure !== null && !retryable(failure.kind) && failure.kind !== 'late') break;
  }
  if (lost) return { type: 'unsure', by: null };
  if (failure !== null) throw new Failure(failure.kind, `${trail}: ${failure.message}`, failure);
  throw signal.aborted
    ? new Failure('late', `${trail}: late: given up`, signal.reason)
    : new Failure('busy', `${trail}: busy: others write too`);
}

/** What is known after the answer to an earlier write was lost. */
function knownOf(outcome: Outcome): Commit {
  if (outcome.type === 'committed') return outcome;
  return { type: 'unsure', by: outcome.type === 'refused' ? outcome.by : null };
}

async function tryOnce(effect: Effect, { clock, store }: CommitPorts, signal: AbortSignal): Promise<Attempt> {
  const key = manifestKey(effect.duty);
  const call = <T>(work: (until: AbortSignal) => Promise<T>): Promise<T> =>
    within({ clock, ms: callMs, stopping: signal }, work);
  let lost = false;
  try {
    const current = await call((until) => store.read(key, until));
    const last = current === null ? null : manifestFrom(current);
    if (last?.nonce === effect.nonce) return { type: 'committed' };
    if (last !== null && last.epoch > effect.epoch) return { type: 'refused', by: last.epoch };
    if (!effect.held()) return { type: 'not-held' };
    lost = true;
    const { epoch, nonce, content } = effect;
    const body = JSON.stringify({ epoch, nonce, content });
    const { type } = await call((until) =>
      current === null
        ? store.create(key, body, until)
        : store.replace(key, { body, etag: current.etag }, until),
    );
    return type === 'written' ? { type: 'committed' } : { type: 'again', failure: null, lost: false };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return {
      type: 'again',
      failure: error,
      lost: lost && error.kind !== 'denied' && error.kind !== 'missing',
    };
  }
}

function manifestFrom({ body }: Document): z.infer<typeof shape> {
  try {
    return shape.parse(JSON.parse(body));
  } catch (error) {
    throw new Failure('invalid', 'manifest: invalid: not what a holder writes', error);
  }
}
