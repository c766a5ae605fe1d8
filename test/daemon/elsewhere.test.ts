import { equal, match, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { FakeImds } from '../aws/fake-imds.ts';
import { makeMachine, RunningNode } from '../roster/processes.ts';

const hint = /alone until --peers lists the others: as name=peerId@host:port, or name=peerId for mDNS/;

test('a node on a machine that is no instance, and without a list, ends with a line that says what it needs', async (t) => {
  await using imds = await FakeImds.start();
  const node = await RunningNode.startUnlisted(await makeMachine('elsewhere'), imds.endpoint);
  t.after(() => node.stop());
  await rejects(
    node.fact(() => false),
    (error: Error) => {
      match(error.message, /synkti: imds: missing: no instance identity document: [^\n]*\n/);
      match(error.message, hint);
      return true;
    },
  );
  equal(await node.stop(), 1);
});

test('a node whose instance has its metadata switched off ends with a line that says how to switch it on', async (t) => {
  await using imds = await FakeImds.start();
  imds.tokenMood = 403;
  const node = await RunningNode.startUnlisted(await makeMachine('elsewhere'), imds.endpoint);
  t.after(() => node.stop());
  await rejects(
    node.fact(() => false),
    /synkti: imds token: denied: status 403: [^\n]*modify-instance-metadata-options --http-endpoint enabled/,
  );
  equal(await node.stop(), 1);
});

test('while it waits for the metadata of an instance it says so, and what to do where there is none', async (t) => {
  await using imds = await FakeImds.start();
  imds.tokenMood = 503;
  const node = await RunningNode.startUnlisted(await makeMachine('elsewhere'), imds.endpoint);
  t.after(() => node.stop());
  const { why } = await node.fact(({ fact }) => fact === 'imds.awaited');
  match(String(why), hint);
  match(String(why), /a container on EC2 needs .* --http-put-response-hop-limit 2/);
  await node.stop();
});
