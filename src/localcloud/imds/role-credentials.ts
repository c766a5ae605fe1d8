/**
 * The temporary credentials that an instance gets through its role. They rotate: well before the old ones expire,
 * IMDS shows new ones, and both work until the old ones are over.
 */
import { randomBytes } from 'node:crypto';
import { wallTime, type WallTime } from '../../std/time.ts';
import type { CredentialTable } from '../wire/credentials.ts';

export type RoleCredentials = {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly token: string;
  readonly issuedAt: WallTime;
  readonly expiresAt: WallTime;
};

/** New ones are shown once less than this share of the life of the old ones is left. */
const rotationShare = 0.25;

export function openRoleCredentials(options: {
  readonly instanceId: string;
  readonly table: CredentialTable;
  readonly ttlMs: number;
  wallNow(): WallTime;
}): () => RoleCredentials {
  let current: RoleCredentials | null = null;
  return () => {
    const now = options.wallNow();
    if (current !== null && current.expiresAt - now > options.ttlMs * rotationShare) return current;
    current = {
      accessKeyId: accessKeyId('ASIA'),
      secretAccessKey: randomBytes(30).toString('base64'),
      token: randomBytes(96).toString('base64'),
      issuedAt: now,
      expiresAt: wallTime(now + options.ttlMs),
    };
    const { secretAccessKey: secret, token: sessionToken, expiresAt } = current;
    options.table.issue(current.accessKeyId, {
      secret,
      sessionToken,
      expiresAt,
      instanceId: options.instanceId,
    });
    return current;
  };
}

/** AWS's form: four letters that tell the kind, sixteen of base 32. */
export function accessKeyId(kind: 'AKIA' | 'ASIA'): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  return kind + Array.from(randomBytes(16), (byte) => letters[byte & 31]).join('');
}
