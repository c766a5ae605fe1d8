import { ok } from 'node:assert/strict';
import { test } from 'node:test';
import { freePort } from '../../src/cli/dev/ports.ts';

test('no port is given to a node that belongs to another one, whether that one listens just now or not', async () => {
  const isTaken = (port: number): boolean => port % 2 === 0;
  for (let tries = 0; tries < 20; tries++) {
    const port = await freePort(1, isTaken);
    ok(!isTaken(port), `port ${port}`);
  }
});
