/** Signature Version 4 by AWS's own examples (S3 API Reference, "Authenticating Requests", May 24, 2013). */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { openCredentialTable } from '../../../src/localcloud/wire/credentials.ts';
import {
  parseAuthorization,
  sha256Hex,
  verify,
  type SignedHead,
} from '../../../src/localcloud/wire/sigv4.ts';
import { wallTime } from '../../../src/std/time.ts';

const accessKeyId = 'AKIAIOSFODNN7EXAMPLE';
const secret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const signedAt = wallTime(Date.UTC(2013, 4, 24));
const empty = sha256Hex('');
const host = 'examplebucket.s3.amazonaws.com';
const base = { host, 'x-amz-date': '20130524T000000Z', 'x-amz-content-sha256': empty };

type Example = {
  readonly title: string;
  readonly method: string;
  readonly path: string;
  readonly rawQuery: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signature: string;
};

const examples: readonly Example[] = [
  {
    title: 'a GET of a range',
    method: 'GET',
    path: '/test.txt',
    rawQuery: '',
    headers: { ...base, range: 'bytes=0-9' },
    signature: 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  },
  {
    title: 'a PUT of a key that needs encoding',
    method: 'PUT',
    path: '/test$file.text',
    rawQuery: '',
    headers: {
      ...base,
      date: 'Fri, 24 May 2013 00:00:00 GMT',
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
      'x-amz-content-sha256': sha256Hex('Welcome to Amazon S3.'),
    },
    signature: '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  },
  {
    title: 'a GET of a subresource without a value',
    method: 'GET',
    path: '/',
    rawQuery: 'lifecycle',
    headers: base,
    signature: 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
  },
  {
    title: 'a GET whose query is sorted',
    method: 'GET',
    path: '/',
    rawQuery: 'prefix=J&max-keys=2',
    headers: base,
    signature: '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  },
];

const credentials = openCredentialTable(() => signedAt);
credentials.issue(accessKeyId, { secret, sessionToken: null, instanceId: 'i-1', expiresAt: null });

function judged(example: Example, change: Partial<SignedHead> = {}, wallNow = signedAt): string {
  const names = Object.keys(example.headers).sort().join(';');
  const scope = `${accessKeyId}/20130524/us-east-1/s3/aws4_request`;
  const authorization = parseAuthorization(
    `AWS4-HMAC-SHA256 Credential=${scope},SignedHeaders=${names},Signature=${example.signature}`,
  );
  const { method, path, rawQuery } = example;
  const head = { method, path, rawQuery, headers: new Map(Object.entries(example.headers)), ...change };
  const hash = example.headers['x-amz-content-sha256']!;
  const verdict = verify(head, authorization!, hash, { credentials, wallNow });
  return verdict.type === 'proven' ? `proven ${verdict.caller.instanceId}` : verdict.problem;
}

for (const example of examples)
  test(`AWS's example holds: ${example.title}`, () => {
    equal(judged(example), 'proven i-1');
    equal(judged(example, { method: 'DELETE' }), 'wrong-signature');
    equal(judged(example, { path: `${example.path}x` }), 'wrong-signature');
    equal(judged(example, { rawQuery: 'acl' }), 'wrong-signature');
    const headers = new Map([...Object.entries(example.headers), ['host', 'elsewhere']] as [
      string,
      string,
    ][]);
    equal(judged(example, { headers }), 'wrong-signature');
  });

test('it does not matter how much a client escapes, or how it spaces a header', () => {
  const [, put] = examples as [Example, Example];
  equal(judged(put, { path: '/test%24file.text' }), 'proven i-1');
  equal(judged(put, { path: '/t%65st$file.text' }), 'proven i-1');
  const headers = new Map(Object.entries(put.headers)).set('x-amz-storage-class', '  REDUCED_REDUNDANCY ');
  equal(judged(put, { headers }), 'proven i-1');
});

test('a signature is good for a quarter of an hour around its time', () => {
  const at = (minutes: number): string => judged(examples[0]!, {}, wallTime(signedAt + minutes * 60_000));
  deepEqual([at(15), at(-15), at(16), at(-16)], ['proven i-1', 'proven i-1', 'skewed', 'skewed']);
});

test('an escape that is none makes a wrong signature, not an exception', () => {
  equal(judged(examples[0]!, { path: '/%zz' }), 'wrong-signature');
  equal(judged(examples[0]!, { rawQuery: '%' }), 'wrong-signature');
});

test('a key that has expired, has another token, or does not exist is told apart', () => {
  const with_ = (token: string | null, expiresAt: number | null): string => {
    const sessionToken = token;
    const expires = expiresAt === null ? null : wallTime(expiresAt);
    credentials.issue(accessKeyId, { secret, sessionToken, instanceId: 'i-1', expiresAt: expires });
    return judged(examples[0]!);
  };
  deepEqual(
    [with_(null, signedAt + 1), with_(null, signedAt), with_('a token', null)],
    ['proven i-1', 'expired-token', 'wrong-token'],
  );
  credentials.revoke('i-1');
  equal(judged(examples[0]!), 'unknown-key');
  credentials.issue(accessKeyId, { secret, sessionToken: null, instanceId: 'i-1', expiresAt: null });
});

test('a header that is no SigV4 authorization is not read as one', () => {
  const scope = `${accessKeyId}/20130524/us-east-1/s3/aws4_request`;
  const good = `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=${empty}`;
  deepEqual(parseAuthorization(good)?.signedHeaders, ['host']);
  for (const bad of ['', 'Bearer x', good.replace('aws4_request', 'other'), good.slice(0, -1), `${good}0`])
    equal(parseAuthorization(bad), null, bad);
});
