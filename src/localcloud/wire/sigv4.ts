/**
 * Checks AWS Signature Version 4 as the server does: rebuild what the client must have signed, sign it again with
 * the key's secret, compare. (AWS General Reference, "Signature Version 4 signing process"; S3 API Reference,
 * "Authenticating Requests: Using the Authorization Header".)
 *
 *   canonical request = method, path, sorted query, signed headers, hash of the body
 *   string to sign    = time, scope (date/region/service), hash of the canonical request
 *   signature         = HMAC chain over date, region, service, then the string to sign
 *
 * S3 encodes the path once and declares the body's hash in a header, because nobody hashes a stream before sending
 * it; every other service encodes the path twice and hashes the body. Presigned URLs (the same in the query) are
 * not understood: nothing here makes them.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { WallTime } from '../../std/time.ts';
import type { Caller } from './call.ts';
import type { Credentials } from './credentials.ts';

export type SignedHead = {
  readonly method: string;
  /** As on the request line: percent-encoded, without the query. */
  readonly path: string;
  /** As on the request line, after the question mark; empty when there is none. */
  readonly rawQuery: string;
  /** Names in lower case; values of a repeated header joined by commas. */
  readonly headers: ReadonlyMap<string, string>;
};

type Authorization = {
  readonly accessKeyId: string;
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
};

/** What the signatures of the chunks of a streamed body are chained from (S3 only). */
export type Signing = {
  readonly key: Buffer;
  readonly time: string;
  readonly scope: string;
  readonly signature: string;
};

export type AuthProblem =
  'missing' | 'malformed' | 'unknown-key' | 'wrong-token' | 'expired-token' | 'skewed' | 'wrong-signature';

type Verdict =
  | { readonly type: 'proven'; readonly caller: Caller; readonly signing: Signing }
  | { readonly type: 'refused'; readonly problem: AuthProblem };

/** What AWS allows between its clock and the signer's. */
const skewMsMax = 15 * 60_000;
const form =
  /^AWS4-HMAC-SHA256\s+Credential=([^/,\s]+)\/(\d{8})\/([^/,\s]+)\/([^/,\s]+)\/aws4_request,\s*SignedHeaders=([a-z0-9;_.-]+),\s*Signature=([0-9a-f]{64})$/;

export const sha256Hex = (body: Uint8Array | string): string =>
  createHash('sha256').update(body).digest('hex');

const hmac = (key: Buffer | string, text: string): Buffer => createHmac('sha256', key).update(text).digest();

/** Null when the header is not of the form that SigV4 prescribes. */
export function parseAuthorization(header: string): Authorization | null {
  const found = form.exec(header.trim());
  if (found === null) return null;
  const [, accessKeyId, date, region, service, names, signature] = found as unknown as string[];
  return {
    accessKeyId: accessKeyId!,
    date: date!,
    region: region!,
    service: service!,
    signedHeaders: names!.split(';'),
    signature: signature!,
  };
}

/** `payloadHash` is what stands in the canonical request: the body's SHA-256, or what S3's header declares. */
export function verify(
  head: SignedHead,
  authorization: Authorization,
  payloadHash: string,
  against: { readonly credentials: Credentials; readonly wallNow: WallTime },
): Verdict {
  const refused = (problem: AuthProblem): Verdict => ({ type: 'refused', problem });
  const time = head.headers.get('x-amz-date') ?? '';
  const signedAt = epochMs(time);
  if (signedAt === null || !time.startsWith(authorization.date)) return refused('malformed');
  if (!authorization.signedHeaders.includes('host')) return refused('malformed');

  const credential = against.credentials.find(authorization.accessKeyId);
  if (credential === null) return refused('unknown-key');
  if ((head.headers.get('x-amz-security-token') ?? null) !== credential.sessionToken)
    return refused('wrong-token');

  const scope = `${authorization.date}/${authorization.region}/${authorization.service}/aws4_request`;
  const toSign = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${sha256Hex(canonical(head, authorization, payloadHash))}`;
  const key = signingKey(credential.secret, authorization);
  if (!timingSafeEqual(hmac(key, toSign), Buffer.from(authorization.signature, 'hex')))
    return refused('wrong-signature');

  if (Math.abs(against.wallNow - signedAt) > skewMsMax) return refused('skewed');
  if (credential.expiresAt !== null && against.wallNow >= credential.expiresAt)
    return refused('expired-token');
  return {
    type: 'proven',
    caller: { accessKeyId: authorization.accessKeyId, instanceId: credential.instanceId },
    signing: { key, time, scope, signature: authorization.signature },
  };
}

/** The signature of one chunk of an aws-chunked body, or of its trailer: each covers the one before it. */
export const chainSignature = (
  signing: Signing,
  previous: string,
  what: { readonly algorithm: string; readonly hashes: readonly string[] },
): string =>
  hmac(
    signing.key,
    [what.algorithm, signing.time, signing.scope, previous, ...what.hashes].join('\n'),
  ).toString('hex');

function signingKey(secret: string, { date, region, service }: Authorization): Buffer {
  return hmac(hmac(hmac(hmac(`AWS4${secret}`, date), region), service), 'aws4_request');
}

function canonical(head: SignedHead, { service, signedHeaders }: Authorization, payloadHash: string): string {
  const path = service === 's3' ? encodedOnce(head.path) : encodedOnce(head.path).replaceAll('%', '%25');
  const headers = signedHeaders.map((name) => {
    const value = head.headers.get(name) ?? '';
    return `${name}:${value.trim().replace(/ +/g, ' ')}\n`;
  });
  return [
    head.method,
    path,
    canonicalQuery(head.rawQuery),
    headers.join(''),
    signedHeaders.join(';'),
    payloadHash,
  ].join('\n');
}

function canonicalQuery(raw: string): string {
  if (raw === '') return '';
  return raw
    .split('&')
    .map((pair) => {
      const cut = pair.indexOf('=');
      const name = cut < 0 ? pair : pair.slice(0, cut);
      return [encodedOnce(name, ''), encodedOnce(cut < 0 ? '' : pair.slice(cut + 1), '')] as const;
    })
    .sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

/** Percent-encodes as SigV4 does, whatever the client's library left bare or encoded too much; `kept` stays. */
function encodedOnce(encoded: string, kept = '/'): string {
  return encodeURIComponent(decoded(encoded))
    .replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%2F', kept === '/' ? '/' : '%2F');
}

/** An ill-formed escape stays as it is: the signature will not fit, which is the right answer to it. */
function decoded(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch (error) {
    if (error instanceof URIError) return encoded;
    throw error;
  }
}

/** `20261121T083000Z` in epoch milliseconds; null for any other form. */
function epochMs(time: string): number | null {
  const found = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(time);
  if (found === null) return null;
  const [year, month, day, hour, minute, second] = found.slice(1).map(Number) as number[];
  return Date.UTC(year!, month! - 1, day, hour, minute, second);
}
