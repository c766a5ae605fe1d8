/**
 * The session tokens of IMDSv2: valid on one instance, until the TTL is over. A token carries its own expiry and an
 * HMAC by the instance's key, so that any number of them costs no memory, as AWS promises no limit on their number.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { after, instant, type Instant } from '../../std/time.ts';

/** Seconds that a client may ask for (EC2 user guide, "Use IMDSv2"): one second to six hours. */
const ttlSecondsMax = 21_600;
const macBytes = 16;
const tokenBytes = 8 + 16 + macBytes;

export type Tokens = {
  issue(ttlSeconds: number, now: Instant): string;
  /** Seconds that the token is still good for; null: foreign, forged or expired. */
  remaining(token: string, now: Instant): number | null;
};

/** null: the header is missing or not a number from 1 to 21600. */
export function parseTtl(header: string | string[] | undefined): number | null {
  if (typeof header !== 'string' || !/^\d{1,5}$/.test(header.trim())) return null;
  const seconds = Number(header);
  return seconds >= 1 && seconds <= ttlSecondsMax ? seconds : null;
}

export function openTokens(): Tokens {
  const key = randomBytes(32);
  const mac = (body: Buffer): Buffer => createHmac('sha256', key).update(body).digest().subarray(0, macBytes);
  return {
    issue(ttlSeconds, now) {
      const expiry = Buffer.alloc(8);
      expiry.writeDoubleBE(after(now, ttlSeconds * 1000));
      const body = Buffer.concat([expiry, randomBytes(16)]);
      return Buffer.concat([body, mac(body)]).toString('base64url');
    },
    remaining(token, now) {
      const bytes = Buffer.from(token, 'base64url');
      if (bytes.length !== tokenBytes) return null;
      const body = bytes.subarray(0, tokenBytes - macBytes);
      if (!timingSafeEqual(bytes.subarray(tokenBytes - macBytes), mac(body))) return null;
      const ms = instant(body.readDoubleBE(0)) - now;
      return ms > 0 ? Math.ceil(ms / 1000) : null;
    },
  };
}
