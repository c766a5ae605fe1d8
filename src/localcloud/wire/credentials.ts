/** Which access keys exist, what they sign with, and which instance each speaks for. */
import type { WallTime } from '../../std/time.ts';

type Credential = {
  readonly secret: string;
  /** What the key's calls must carry as `X-Amz-Security-Token`; null for a long-lived key, which has none. */
  readonly sessionToken: string | null;
  /** Null for the operator's key, which speaks for no instance and is never throttled or shaped as one. */
  readonly instanceId: string | null;
  /** When it stops being accepted; null for never. */
  readonly expiresAt: WallTime | null;
};

export type Credentials = {
  /** Null: no such key. An expired one is still found, so that its holder is told why. */
  find(accessKeyId: string): Credential | null;
};

export type CredentialTable = Credentials & {
  issue(accessKeyId: string, credential: Credential): void;
  /** Forgets every key of an instance: it was terminated. */
  revoke(instanceId: string): void;
};

/** Rotation keeps old keys until they expire, as STS does; expired ones go when a new one is issued. */
export function openCredentialTable(wallNow: () => WallTime): CredentialTable {
  const byKey = new Map<string, Credential>();
  const graceMs = 3_600_000; // long enough for a holder of an expired key to read ExpiredToken, not Invalid...
  return {
    find: (accessKeyId) => byKey.get(accessKeyId) ?? null,
    issue(accessKeyId, credential) {
      for (const [key, { expiresAt }] of byKey) {
        if (expiresAt !== null && expiresAt + graceMs < wallNow()) byKey.delete(key);
      }
      byKey.set(accessKeyId, credential);
    },
    revoke(instanceId) {
      for (const [key, credential] of byKey) if (credential.instanceId === instanceId) byKey.delete(key);
    },
  };
}
