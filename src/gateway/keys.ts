/**
 * Who a client is: by the key that it shows, of which only the SHA-256 is known here. What is looked up is the digest
 * of what was shown, so how long that takes tells nothing of any key: nobody can choose digests. The last comparison
 * is of constant time all the same.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { ApiKey } from '../node/api-key.ts';
import { everyone } from '../std/room.ts';
import type { Reply } from './reply.ts';

/** A key of ours has 46 characters; nobody's has thousands. */
const keyCharactersMax = 512;

export type KeyTable = {
  /** Of the keys there are, as they share what a node has; one alone shares with nobody. */
  ownerOf(key: ApiKey): string;
  /** null: no key, or none of ours. */
  holderOf(headers: IncomingHttpHeaders): ApiKey | null;
};

export function keyTable(keys: readonly ApiKey[]): KeyTable {
  const byDigest = new Map(keys.map((key) => [key.sha256, { key, digest: Buffer.from(key.sha256, 'hex') }]));
  return {
    ownerOf: ({ name }) => (keys.length > 1 ? name : everyone),
    holderOf: (headers) => {
      const shown = shownKey(headers);
      if (shown === null) return null;
      const digest = hash('sha256', shown, 'hex');
      const known = byDigest.get(digest);
      return known !== undefined && timingSafeEqual(known.digest, Buffer.from(digest, 'hex'))
        ? known.key
        : null;
    },
  };
}

/** As OpenAI's clients send it, or as Anthropic's do. */
function shownKey(headers: IncomingHttpHeaders): string | null {
  const { authorization } = headers;
  const bearer = authorization === undefined ? null : /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
  const shown = bearer ?? headers['x-api-key'];
  return typeof shown === 'string' && shown !== '' && shown.length <= keyCharactersMax ? shown : null;
}

export function unauthorized(headers: IncomingHttpHeaders): Reply {
  const message =
    shownKey(headers) === null
      ? 'No API key was given: send it as `Authorization: Bearer KEY`.'
      : 'The API key is not known here.';
  return {
    status: 401,
    complaint: { message, type: 'invalid_request_error', param: null, code: 'invalid_api_key' },
    headers: { 'www-authenticate': 'Bearer' },
  };
}
