/**
 * Credentials of the instance's role, for all AWS clients of this process together: each client of its own would fetch
 * a token and the credentials anew. They go through the same connection to the metadata service as everything else,
 * so they never fall back to version 1, and expired ones are not used while new ones can be had.
 *
 * How long they have is reckoned once, when they come, by the clock of who sends them. From then on the longer of two times
 * counts as passed: the monotonic clock stands still while an instance hibernates, and the wall clock may be set, back or
 * ahead. If it was set ahead, they are asked for once more and reckoned anew.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import type { Clock } from '../node/ports.ts';
import { Failure } from '../std/failure.ts';
import type { Instant, WallTime } from '../std/time.ts';
import type { Imds } from './imds.ts';

export type RoleCredentials = {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  /** Long past: an SDK that is told when they end keeps them until then by the wall clock; so it asks here each time. */
  readonly expiration: Date;
};

type Fetched = { readonly credentials: RoleCredentials; readonly lifeMs: number };
type Held = Fetched & { readonly since: Instant; readonly wallSince: WallTime };

const askEachTime = new Date(0);
/** AWS puts new ones in place at least five minutes before the old ones end. */
const renewBeforeMs = 300_000;
/** While AWS still shows the old ones, asking again sooner changes nothing. */
const askAgainMs = 30_000;
/** The same of those that came and were of no use any more. */
const askAgainExpiredMs = 1_000;
const readMs = 8_000;
const retryMs = 500;

const schema = z.object({
  AccessKeyId: z.string().min(1),
  SecretAccessKey: z.string().min(1),
  Token: z.string().min(1),
  Expiration: z.iso.datetime({ offset: true }),
});

/** What the AWS SDK takes as a credential provider. Failure `denied` when the instance has no role. */
export function roleCredentials(
  imds: Imds,
  clock: Pick<Clock, 'now' | 'wallNow'>,
): () => Promise<RoleCredentials> {
  let held: Held | null = null;
  let askedAt = -Infinity;
  let fetching: Promise<Held> | null = null;

  async function fetchNow(): Promise<Held> {
    askedAt = clock.now();
    const fetched = await fetchCredentials(imds, clock);
    return { ...fetched, since: clock.now(), wallSince: clock.wallNow() };
  }

  const leftOf = ({ lifeMs, since, wallSince }: Held): number =>
    lifeMs - Math.max(clock.now() - since, clock.wallNow() - wallSince);

  const isTooSoon = ({ since }: Held, leftMs: number): boolean =>
    leftMs > 0 ? clock.now() - askedAt < askAgainMs : clock.now() - since < askAgainExpiredMs;

  return async () => {
    const leftMs = held === null ? 0 : leftOf(held);
    if (held !== null && (leftMs > renewBeforeMs || isTooSoon(held, leftMs))) return held.credentials;
    try {
      fetching ??= fetchNow().finally(() => (fetching = null));
      held = await fetching;
    } catch (error) {
      if (held === null || leftMs <= 0) throw error;
    }
    return held.credentials;
  };
}

/**
 * For the start, which is in vain without a role: an instance that may not tag itself is let in by nobody. Failure
 * `denied`: it still has none when `signal` aborts. Any other failure passes or is met again by whoever calls AWS.
 */
export async function awaitCredentials(
  credentials: () => Promise<RoleCredentials>,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    try {
      return void (await credentials());
    } catch (error) {
      if (!(error instanceof Failure) || error.kind !== 'denied') return;
      if (signal.aborted) throw error;
    }
    await pause(retryMs);
  }
}

async function fetchCredentials(imds: Imds, clock: Pick<Clock, 'wallNow'>): Promise<Fetched> {
  const signal = AbortSignal.timeout(readMs);
  const folder = 'meta-data/iam/security-credentials/';
  const role = (await imds.read(folder, 'rest', signal))?.split('\n')[0]?.trim() ?? '';
  if (role === '') throw new Failure('denied', 'credentials: denied: the instance has no role');
  const answer = await imds.readDated(`${folder}${encodeURIComponent(role)}`, 'rest', signal);
  if (answer === null) throw new Failure('denied', `credentials of role ${role}: denied: not issued`);
  try {
    const { AccessKeyId, SecretAccessKey, Token, Expiration } = schema.parse(JSON.parse(answer.text));
    return {
      credentials: {
        ...{ accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: Token },
        expiration: askEachTime,
      },
      lifeMs: Date.parse(Expiration) - (answer.at ?? clock.wallNow()),
    };
  } catch {
    // The cause would quote the answer, and the answer holds a secret.
    throw new Failure('invalid', `credentials of role ${role}: invalid: not what AWS documents`);
  }
}
