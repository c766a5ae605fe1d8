import { equal } from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isEmpty } from './faults.ts';

const said = (): boolean => true;
const unsaid = (): boolean => false;

async function nodeThat(t: TestContext, answers: RequestListener | null): Promise<{ control: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-faults-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const control = join(dir, 'control.sock');
  if (answers === null) return { control };
  const server = createServer(answers);
  await new Promise<void>((resolve) => server.listen(control, resolve));
  t.after(() => void server.close());
  return { control };
}

const status = (phase: string, serving: number): RequestListener => {
  return (_, response) => void response.end(JSON.stringify({ life: { phase }, streams: { serving } }));
};

test('a node is empty when it says in its drain that nothing runs on it', async (t) => {
  equal(await isEmpty(await nodeThat(t, status('draining', 0)), unsaid), true);
  equal(await isEmpty(await nodeThat(t, status('left', 0)), unsaid), true);
  equal(await isEmpty(await nodeThat(t, status('draining', 1)), said), false);
  equal(await isEmpty(await nodeThat(t, status('serving', 0)), said), false);
});

test('a node that is gone was empty if it said so, and not if it was ended before', async (t) => {
  const gone = await nodeThat(t, null);
  equal(await isEmpty(gone, said), true);
  equal(await isEmpty(gone, unsaid), false);
});

test('a node that does not answer, or not in order, is not known to be empty', async (t) => {
  const resets = await nodeThat(t, ({ socket }) => void socket.destroy());
  equal(await isEmpty(resets, said), false);
  const refuses = await nodeThat(t, (_, response) => void response.writeHead(500).end('{}'));
  equal(await isEmpty(refuses, said), false);
});
