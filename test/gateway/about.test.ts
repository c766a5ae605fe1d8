import { equal } from 'node:assert/strict';
import { hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { aboutOf } from '../../src/gateway/headers.ts';

test('a request is known by its method, its path and its body, as it was to every version', () => {
  const raw = '{"model":"tiny","prompt":"grüß dich"}';
  const request = { method: 'POST', url: '/v1/completions', headers: {} } as unknown as IncomingMessage;
  const { claim } = aboutOf(request, { bytes: Buffer.from(raw), body: {} }, null);
  equal(claim.digest, hash('sha256', `POST /v1/completions\n${raw}`, 'base64url'));
});
