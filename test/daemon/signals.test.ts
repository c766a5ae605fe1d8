import { equal, match } from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeCertificate } from '../gateway/certificate.ts';
import { listingOf, makeMachine, RunningNode } from '../roster/processes.ts';

test('SIGHUP ends no node, and says so where there is nothing to read again; SIGTERM does', async (t) => {
  const machine = await makeMachine('alone');
  const node = await RunningNode.start(machine, ['--role', 'edge', '--peers', listingOf(machine)]);
  t.after(() => node.stop());
  await node.fact(({ fact }) => fact === 'node.started');
  node.signal('SIGHUP');
  await node.fact(({ fact, why }) => fact === 'keys.absent' && /nothing|no list/.test(String(why)));
  equal(await node.stop(), 0);
  const drains = node.facts.flatMap(({ fact, reason }) => (fact === 'drain.started' ? [reason] : []));
  equal(drains.length, 1);
  const order = node.facts.map(({ fact }) => fact).join(' ');
  match(order, /keys\.absent .*keys\.absent .*drain\.started/);
});

test('SIGHUP takes up a renewed certificate, and one that makes no sense is refused and changes nothing', async (t) => {
  const machine = await makeMachine('secure');
  const [cert, key] = [join(machine.dataDir, 'cert.pem'), join(machine.dataDir, 'key.pem')];
  writeCertificate({ cert, key });
  const tls = ['--tls-cert', cert, '--tls-key', key];
  const node = await RunningNode.start(machine, ['--role', 'edge', '--peers', listingOf(machine), ...tls]);
  t.after(() => node.stop());
  await node.fact(({ fact }) => fact === 'node.started');
  writeCertificate({ cert, key });
  node.signal('SIGHUP');
  await node.fact(({ fact, from }) => fact === 'certificate.loaded' && from === cert);
  await writeFile(cert, 'half of a certificate');
  node.signal('SIGHUP');
  await node.fact(({ fact, why }) => fact === 'certificate.refused' && String(why).includes('invalid'));
  await rm(key);
  node.signal('SIGHUP');
  await node.fact(({ fact, why }) => fact === 'certificate.refused' && String(why).includes('ENOENT'));
  equal(await node.stop(), 0);
});
