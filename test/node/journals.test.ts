/** The logs of a few nodes together: who writes one, and where it is found. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import type { LogEars, StreamLog } from '../../src/node/journals.ts';
import { memberId } from '../../src/std/member-id.ts';
import type { HeldLog } from '../../src/journal/wire.ts';
import { deaf, Logs } from './logs.ts';

const text = (words: string): Uint8Array => new TextEncoder().encode(words);
const words = (held: HeldLog | null): string | null => held && Buffer.from(held.bytes).toString();

function open(logs: Logs, by: string, ears: LogEars = deaf, epoch = 1): StreamLog {
  const log = { owner: '', fence: { epoch, by: memberId(by) }, bytes: text(`${by}:`), urgent: true };
  return logs.at(by).open('key', log, ears);
}

/** What the search finds, once it is over. */
function look(logs: Logs, by: string): () => string | null {
  let told: HeldLog | null = null;
  logs.at(by).find(
    'key',
    () => true,
    (held) => (told = held),
  );
  return () => words(told);
}

async function found(logs: Logs, by: string): Promise<string | null> {
  const told = look(logs, by);
  await logs.clock.run(3_000);
  return told();
}

/** Two clusters in which those who begin at once hold the copies of one another, and no third does. */
const pairs = [
  ['two zones of two members', { a: 'x', b: 'x', c: 'y', d: 'y' }],
  ['two members', { a: 'x', c: 'y' }],
] as const;

for (const [title, zones] of pairs)
  test(`[J4] of two nodes that begin one log at once only one writes it: ${title}`, async () => {
    for (const first of ['a', 'c'])
      for (const apartMs of [0, 1, 2]) {
        const logs = new Logs(zones);
        const fenced: string[] = [];
        const begin = (by: string): StreamLog => open(logs, by, { ...deaf, fenced: () => fenced.push(by) });
        begin(first);
        await logs.clock.run(apartMs);
        const last = begin(first === 'a' ? 'c' : 'a');
        last.append(text('more'), true);
        await logs.clock.run(1_000);
        // One that heard of the other before it began goes on with its log under a higher fence: not here.
        deepEqual(fenced, ['a'], `${first} first, ${apartMs} ms apart`);
        for (const node of Object.keys(zones)) equal((await found(logs, node))?.slice(0, 2), 'c:', node);
        logs.close();
      }
  });

test('[J4] an answer that is complete stays, whoever begins the same once more', async () => {
  for (const zones of [
    { a: 'x', c: 'y' },
    { a: 'x', c: 'y', d: 'z' },
  ]) {
    const logs = new Logs(zones);
    const fenced: string[] = [];
    const log = open(logs, 'a');
    log.append(text('all'), true);
    log.end(60_000);
    await logs.clock.run(500);
    open(logs, 'c', { ...deaf, fenced: () => fenced.push('c') });
    await logs.clock.run(1_000);
    deepEqual(fenced, ['c']);
    equal(await found(logs, 'a'), 'a:all');
    logs.close();
  }
});

test('what comes while a log is looked for elsewhere is found', async () => {
  const logs = new Logs({ a: 'x', b: 'x', c: 'y' });
  logs.silent.add(memberId('b'));
  const told = look(logs, 'c');
  await logs.clock.run(100);
  open(logs, 'a');
  await logs.clock.run(3_000);
  equal(told(), 'a:');
  logs.close();
});

test('[J5] of a log that was taken over nothing is left once it has lingered, at who took it over neither', async () => {
  const logs = new Logs({ a: 'x', b: 'y', c: 'z' });
  const isAtWork = async (): Promise<string> => {
    let told = '';
    const tell = (atWork: boolean, over: HeldLog | null): void => void (told = `${atWork} ${words(over)}`);
    logs.at('c').isAtWork('key', memberId('b'), tell);
    await logs.clock.run(2_000);
    return told;
  };
  open(logs, 'a');
  await logs.clock.run(500);
  logs.kill('a');
  logs.at('b').takeOver('key', { epoch: 2, by: memberId('b') });
  const log = open(logs, 'b', deaf, 2);
  equal(logs.at('b').held().streams, 0);
  equal(await isAtWork(), 'true null');
  log.append(text('all'), true);
  log.end(60_000);
  equal(await isAtWork(), 'false b:all');
  await logs.clock.run(90_000);
  equal(await isAtWork(), 'false null');
  equal(await found(logs, 'c'), null);
  logs.close();
});

test('[J5] the owner of a log that is too much for its node hears so, and writes into nothing', async () => {
  const logs = new Logs({ a: 'x' });
  const outgrown: string[] = [];
  // Of 256 MiB four such logs take all.
  const log = { owner: '', fence: { epoch: 1, by: memberId('a') }, bytes: new Uint8Array(64 * 1_024 ** 2) };
  const ids = ['first', 'second', 'third', 'fourth', 'last'];
  const [first] = ids.map((id) => {
    const ears = { ...deaf, outgrown: () => outgrown.push(id) };
    return logs.at('a').open(id, { ...log, urgent: false }, ears);
  });
  deepEqual(outgrown, ['first']);
  first!.append(text('more'), true);
  first!.end(60_000);
  deepEqual(
    ids.map((id) => logs.at('a').working(id) !== null),
    [false, true, true, true, true],
  );
  deepEqual(outgrown, ['first']);
  logs.close();
});
