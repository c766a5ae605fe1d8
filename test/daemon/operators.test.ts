import { equal, rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { test } from 'node:test';
import { freePort } from '../../src/cli/dev/ports.ts';
import { issueCertificate } from '../../src/mtls/certificate.ts';
import { loadIdentity } from '../../src/mtls/identity.ts';
import { listingOf, makeMachine, RunningNode, type Machine } from '../roster/processes.ts';

/** The status of a request to the port of inference between nodes, with the key of that machine. */
async function askAs({ dataDir }: Machine, port: number): Promise<number | undefined> {
  const credentials = await issueCertificate(await loadIdentity(dataDir));
  const asked = request({ ...credentials, port, path: '/engine/v1/models', rejectUnauthorized: false });
  const [response] = (await once(asked.end(), 'response')) as [IncomingMessage];
  response.resume();
  return response.statusCode;
}

test('who is let in as an operator reaches no engine and no log: these are for members', async (t) => {
  const machines = await Promise.all(['alone', 'member', 'operator'].map(makeMachine));
  const [machine, member, operator] = machines as [Machine, Machine, Machine];
  const port = await freePort();
  const listed = [machine, member].map(listingOf).join(',');
  const flags = ['--peers', listed, '--operators', operator.peerId, '--peer-port', `${port}`];
  const node = await RunningNode.start(machine, ['--role', 'edge', ...flags]);
  t.after(() => node.stop());
  for (const { dataDir } of [member, operator]) t.after(() => rm(dataDir, { recursive: true, force: true }));
  await node.fact(({ fact }) => fact === 'node.started');
  // The node has no engine, and says so.
  equal(await askAs(member, port), 503);
  await rejects(askAs(operator, port), { code: 'ECONNRESET' });
});
