/** The list of API keys as a node keeps it: read, changed while it runs, and never lost to a bad edit. */
import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { mkdtemp, open, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { openApiKeys, type ApiKeys } from '../../src/api-keys.ts';
import { parametersIn } from '../../src/aws/parameters.ts';
import { apiKeysFrom } from '../../src/config/api-keys.ts';
import type { Fact } from '../../src/node/facts.ts';
import { startRig } from '../localcloud/rig.ts';

const digest = (key: string): string => hash('sha256', key, 'hex');
const entry = (name: string, key: string): string => `- name: ${name}\n  sha256: ${digest(key)}\n`;
const holder = (keys: ApiKeys, key: string): string | null =>
  keys.table()?.holderOf({ authorization: `Bearer ${key}` })?.name ?? null;

const program = 'unreadable-for-a-moment.ts';
const unused = { cluster: 'blue', readParameter: null };

async function fileIn(t: TestContext, text: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-keys-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'api-keys.yaml');
  await writeFile(file, text);
  return file;
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('a list has names, digests and limits, and what is left out is no limit', () => {
  const text = `${entry('alice', 'a')}- name: bob\n  sha256: ${digest('b').toUpperCase()}\n  limits: { requestsPerMinute: 60 }\n`;
  deepEqual(apiKeysFrom(text, 'x'), [
    { name: 'alice', sha256: digest('a'), limits: { requestsPerMinute: null, tokensPerMinute: null } },
    { name: 'bob', sha256: digest('b'), limits: { requestsPerMinute: 60, tokensPerMinute: null } },
  ]);
  deepEqual(apiKeysFrom('[] # nobody yet\n', 'x'), []);
});

test('a list that makes no sense is refused with what is wrong where, and without the digests', () => {
  const wrong: readonly (readonly [text: string, said: RegExp])[] = [
    ['- name: a\n  sha256: zz\n', /0\.sha256: expected 64 hexadecimal digits/],
    [`${entry('a', 'x')}  limit: { requestsPerMinute: 1 }\n`, /0: unrecognized key: "limit"/],
    [`${entry('a', 'x')}  limits: { perMinute: 1 }\n`, /0\.limits: unrecognized key: "perMinute"/],
    [`${entry('a', 'x')}  limits: { tokensPerMinute: 0 }\n`, /0\.limits\.tokensPerMinute/],
    [entry('a', 'x') + entry('a', 'y'), /two keys have the same name/],
    [entry('a', 'x') + entry('b', 'x'), /two keys have the same sha256/],
    [`- name: [\n  sha256: ${digest('x')}\n`, /not YAML/],
    ['keys: 3\n', /list/],
    ['- {}\n'.repeat(500), /^.{0,800}; and 990 more$/],
    ['', /nothing in it; a list of none is written \[\]/],
    ['# nobody yet\n', /nothing in it/],
  ];
  for (const [text, said] of wrong)
    throws(
      () => apiKeysFrom(text, 'the file'),
      (error: Error) => {
        match(error.message, said);
        equal(error.message.includes(digest('x')), false);
        return error.message.startsWith('API keys of the file: invalid: ');
      },
    );
});

test('a changed file is the list from then on, also when another file takes its place', async (t) => {
  const path = await fileIn(t, entry('alice', 'a'));
  const facts: Fact[] = [];
  const keys = await openApiKeys({ from: 'file', path }, { ...unused, report: (fact) => facts.push(fact) });
  t.after(() => keys.close());
  equal(holder(keys, 'a'), 'alice');
  // At once: what is emptied first and written then may be looked at in between, and be refused.
  writeFileSync(path, entry('alice', 'a') + entry('bob', 'b'));
  await until(() => holder(keys, 'b') === 'bob', 'bob is let in');
  await writeFile(`${path}.new`, entry('bob', 'b'));
  await rename(`${path}.new`, path);
  await until(() => holder(keys, 'a') === null, 'alice is not let in any more');
  equal(holder(keys, 'b'), 'bob');
  deepEqual(
    facts.map(({ fact, keys }) => [fact, keys]),
    [
      ['keys.loaded', 1],
      ['keys.loaded', 2],
      ['keys.loaded', 1],
    ],
  );
});

test('a bad edit and a vanished file change nothing, and are said', async (t) => {
  const path = await fileIn(t, entry('alice', 'a'));
  const facts: Fact[] = [];
  const keys = await openApiKeys({ from: 'file', path }, { ...unused, report: (fact) => facts.push(fact) });
  t.after(() => keys.close());
  const refused = (): readonly Fact[] => facts.filter(({ fact }) => fact === 'keys.refused');
  writeFileSync(path, '- name: alice\n');
  await keys.reload();
  match(String(refused()[0]?.['why']), /0\.sha256/);
  await rm(path);
  await keys.reload();
  match(String(refused().at(-1)?.['why']), /missing: ENOENT/);
  equal(holder(keys, 'a'), 'alice');
});

test('a list that stays away is said once, and again to who asks', async (t) => {
  const path = await fileIn(t, entry('alice', 'a'));
  t.mock.timers.enable({ apis: ['setInterval'] });
  const facts: Fact[] = [];
  const keys = await openApiKeys({ from: 'file', path }, { ...unused, report: (fact) => facts.push(fact) });
  t.after(() => keys.close());
  const told = (wanted: string): number => facts.filter(({ fact }) => fact === wanted).length;
  const lookedUntil = (holds: () => boolean, what: string): Promise<void> =>
    until(() => {
      t.mock.timers.tick(1_000);
      return holds();
    }, what);
  const putInPlace = async (text: string): Promise<void> => {
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  };
  await rm(path);
  await lookedUntil(() => told('keys.refused') === 1, 'it is missed');
  let looks = 0;
  await lookedUntil(() => ++looks === 5, 'five looks');
  await putInPlace(entry('bob', 'b'));
  await lookedUntil(() => told('keys.loaded') === 2, 'it is back');
  equal(told('keys.refused'), 1);
  await putInPlace('- name: bob\n');
  await lookedUntil(() => told('keys.refused') === 2, 'it is wrong');
  for (let asked = 0; asked < 2; asked++) await keys.reload();
  equal(told('keys.refused'), 4);
});

test('a file that is emptied before it is written anew shuts nobody out, and a list of none does', async (t) => {
  const path = await fileIn(t, entry('alice', 'a'));
  const keys = await openApiKeys({ from: 'file', path }, { ...unused, report: () => {} });
  t.after(() => keys.close());
  await writeFile(path, '');
  await keys.reload();
  equal(holder(keys, 'a'), 'alice');
  await writeFile(path, '[]\n');
  await keys.reload();
  equal(holder(keys, 'a'), null);
});

test('a list that changes while it is read is read again', async (t) => {
  const path = await fileIn(t, entry('alice', 'a') + entry('bob', 'b'));
  const facts: Fact[] = [];
  const keys = await openApiKeys({ from: 'file', path }, { ...unused, report: (fact) => facts.push(fact) });
  t.after(() => keys.close());
  // Who reads a pipe has read it when its writer closes it.
  await promisify(execFile)('mkfifo', [`${path}.pipe`]);
  await rename(`${path}.pipe`, path);
  const reading = keys.reload();
  const pipe = await open(path, 'w');
  await pipe.writeFile(entry('bob', 'b'));
  await writeFile(`${path}.new`, entry('bob', 'b') + entry('carol', 'c'));
  await rename(`${path}.new`, path);
  await pipe.close();
  await reading;
  deepEqual([holder(keys, 'a'), holder(keys, 'b'), holder(keys, 'c')], [null, 'bob', 'carol']);
  deepEqual(
    facts.map(({ fact, keys: count }) => [fact, count]),
    [
      ['keys.loaded', 2],
      ['keys.loaded', 2],
    ],
  );
});

test('a changed list that could not be read is read again, though nothing more of its file changes', async (t) => {
  const path = await fileIn(t, entry('alice', 'a'));
  const { stdout } = await promisify(execFile)('sh', [
    ...['-c', 'ulimit -n 64; exec "$@"', 'sh', process.execPath, join(import.meta.dirname, program)],
    ...[path, entry('bob', 'b'), 'Bearer b'],
  ]);
  const [first, ...facts] = JSON.parse(stdout) as readonly Fact[];
  deepEqual([first?.fact, facts.at(-1)?.fact], ['keys.loaded', 'keys.loaded']);
  deepEqual(new Set(facts.slice(0, -1).map(({ fact }) => fact)), new Set(['keys.refused']));
  match(String(facts[0]?.['why']), /EMFILE/);
});

test('a node without a list that it was told of does not start', async () => {
  const report = (): void => {};
  const nowhere = { from: 'file', path: '/nonexistent/keys' } as const;
  await rejects(openApiKeys(nowhere, { ...unused, report }), { name: 'Failure', kind: 'missing' });
  await rejects(openApiKeys({ from: 'ssm' }, { ...unused, report }), { kind: 'invalid' });
});

test('the list may be a parameter of SSM, named after the cluster', async (t) => {
  await using rig = await startRig();
  const ssm = new SSMClient(rig.sdk);
  t.after(() => ssm.destroy());
  const { credentials, endpoint, region } = rig.sdk;
  const readParameter = parametersIn({ credentials: () => Promise.resolve(credentials), endpoint, region });
  const ports = { cluster: 'blue', readParameter, report: () => {} };
  await rejects(openApiKeys({ from: 'ssm' }, ports), { kind: 'missing' });
  const put = (Value: string) =>
    ssm.send(
      new PutParameterCommand({
        Name: '/synkti/blue/api-keys',
        Value,
        Type: 'SecureString',
        Overwrite: true,
      }),
    );
  await put(entry('alice', 'a'));
  const keys = await openApiKeys({ from: 'ssm' }, ports);
  t.after(() => keys.close());
  equal(holder(keys, 'a'), 'alice');
  await put(entry('bob', 'b'));
  await keys.reload();
  deepEqual([holder(keys, 'a'), holder(keys, 'b')], [null, 'bob']);
  ok(keys.table() !== null);
});
