/**
 * Credentials of the instance's role, for all AWS clients of this process together: each client of its own would fetch
 * a token and the credentials anew. They go through the same connection to the metadata service as everything else,
 * so they never fall back to version 1, and expired ones are never used while new ones can be had.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { Failure } from '../std/failure.ts';
import type { Imds } from './imds.ts';

export type RoleCredentials = {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiration: Date;
};

/** AWS puts new ones in place at least five minutes before the old ones end. */
const renewBeforeMs = 300_000;
/** While AWS still shows the old ones, asking again sooner changes nothing. */
const askAgainMs = 30_000;
const readMs = 8_000;
const retryMs = 500;

const schema = z.object({
  AccessKeyId: z.string().min(1),
  SecretAccessKey: z.string().min(1),
  Token: z.string().min(1),
  Expiration: z.iso.datetime({ offset: true }),
});

/** What the AWS SDK takes as a credential provider. Failure `denied` when the instance has no role. */
export function roleCredentials(imds: Imds): () => Promise<RoleCredentials> {
  let held: RoleCredentials | null = null;
  let askedAt = -Infinity;
  let fetching: Promise<RoleCredentials> | null = null;

  return async () => {
    const leftMs = (held?.expiration.getTime() ?? -Infinity) - Date.now();
    const wellHeld = held !== null && (leftMs > renewBeforeMs || performance.now() - askedAt < askAgainMs);
    if (held !== null && wellHeld && leftMs > 0) return held;
    try {
      askedAt = performance.now();
      fetching ??= fetchCredentials(imds).finally(() => (fetching = null));
      held = await fetching;
    } catch (error) {
      if (held === null || leftMs <= 0) throw error;
    }
    return held;
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

async function fetchCredentials(imds: Imds): Promise<RoleCredentials> {
  const signal = AbortSignal.timeout(readMs);
  const folder = 'meta-data/iam/security-credentials/';
  const role = (await imds.read(folder, 'rest', signal))?.split('\n')[0]?.trim() ?? '';
  if (role === '') throw new Failure('denied', 'credentials: denied: the instance has no role');
  const text = await imds.read(`${folder}${encodeURIComponent(role)}`, 'rest', signal);
  if (text === null) throw new Failure('denied', `credentials of role ${role}: denied: not issued`);
  try {
    const { AccessKeyId, SecretAccessKey, Token, Expiration } = schema.parse(JSON.parse(text));
    return {
      accessKeyId: AccessKeyId,
      secretAccessKey: SecretAccessKey,
      sessionToken: Token,
      expiration: new Date(Expiration),
    };
  } catch {
    // The cause would quote the answer, and the answer holds a secret.
    throw new Failure('invalid', `credentials of role ${role}: invalid: not what AWS documents`);
  }
}
