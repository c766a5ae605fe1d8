/** What holders do about logs whose entry node is lost. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { memberId } from '../../src/std/member-id.ts';
import { deaf, Logs } from './logs.ts';

const nine = { a: 'x', b: 'x', c: 'x', d: 'y', e: 'y', f: 'y', g: 'z', h: 'z', i: 'z' };
const all = 'all of it '.repeat(1_000);
const text = (words: string): Uint8Array => new TextEncoder().encode(words);
/** Until holders look at what they have, and until all of it is done, ms. */
const settleMs = 3_000;
const doneMs = 1_500;

/** Streams that entered at `a`. */
async function streaming(zones: Readonly<Record<string, string>> = nine, ids: readonly string[] = ['key']) {
  const logs = new Logs(zones);
  const fence = { epoch: 1, by: memberId('a') };
  for (const id of ids) logs.at('a').open(id, { owner: '', fence, bytes: text(all), urgent: true }, deaf);
  await logs.clock.run(500);
  return { logs, holders: (id = 'key') => logs.holders(id) };
}

test('[J9] a log that lost its entry node and a holder, in whatever order, has two copies again, and is found', async () => {
  for (const apartMs of [0, 1_000, 60_000, -60_000]) {
    const { logs, holders } = await streaming();
    const [first] = holders();
    const order = apartMs < 0 ? [first!, 'a'] : ['a', first!];
    for (const id of order) {
      logs.kill(id);
      await logs.clock.run(id === order[0] ? Math.abs(apartMs) : settleMs + doneMs);
    }
    equal(holders().length, 2, `${apartMs} ms apart`);
    // The other one is lost too, and so on, as long as somebody is left.
    for (let left = holders(); left.length === 2; left = holders()) {
      logs.kill(left[0]!);
      await logs.clock.run(settleMs + doneMs);
      const others = Object.keys(nine).filter((id) => !logs.dead.has(memberId(id)));
      equal(holders().length, Math.min(2, others.length));
      equal(await logs.found(others[0]!), all);
    }
    logs.close();
  }
});

test('[J9] one that is still held twice is asked for and goes nowhere', async () => {
  // Who has the other copy may stand anywhere in the order of one whose zone has nearly all of the members.
  const crowd = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`m${i}`, 'y']));
  for (const zones of [nine, { a: 'x', ...crowd, z: 'z' }]) {
    const { logs, holders } = await streaming(zones);
    const before = holders();
    Object.assign(logs, { asks: 0, asked: 0 });
    logs.kill('a');
    await logs.clock.run(settleMs + doneMs);
    deepEqual(holders(), before);
    ok(logs.asks > 0 && logs.asks <= 14, `${logs.asks} questions`);
    ok(logs.asked < all.length, `${logs.asked} bytes`);
    logs.close();
  }
});

test('[J9] so does one that was taken over meanwhile, or whose entry node others know', async () => {
  const taken = await streaming();
  const [first] = taken.holders();
  for (const id of ['a', first!]) taken.logs.kill(id);
  const next = taken.holders()[0] === 'b' ? 'c' : 'b';
  const log = { owner: '', fence: { epoch: 2, by: memberId(next) }, bytes: text('taken'), urgent: true };
  taken.logs.at(next).open('key', log, deaf);
  await taken.logs.clock.run(500);
  const holders = taken.holders();
  await taken.logs.clock.run(settleMs + doneMs);
  deepEqual(taken.holders(), holders);
  taken.logs.close();

  const known = await streaming();
  const [one, other] = known.holders();
  // It has lost its copy, and is left to the entry node.
  known.logs.restart(other!);
  known.logs.loseSight(one!, 'a');
  await known.logs.clock.run(settleMs + doneMs);
  deepEqual(known.holders(), [one]);
  known.logs.close();
});

test('[J9] one whose entry node came back without it has two copies again', async () => {
  const { logs, holders } = await streaming();
  const [first] = holders();
  for (const id of ['a', first!]) logs.kill(id);
  await logs.clock.run(1_000);
  logs.restart('a');
  await logs.clock.run(settleMs + doneMs);
  equal(holders().length, 2);
  logs.close();
});

test('[J9] so has one whose entry node was started again before anybody missed it', async () => {
  const { logs, holders } = await streaming();
  const before = holders();
  logs.startAgain('a');
  await logs.clock.run(settleMs + doneMs);
  deepEqual(holders(), before);
  logs.kill(before[0]!);
  await logs.clock.run(settleMs + doneMs);
  equal(holders().length, 2);
  equal(await logs.found('a'), all);
  logs.close();
});

test('[J9] so has one that somebody took over who gave up before a word of it was written', async () => {
  const { logs, holders } = await streaming();
  logs.kill('a');
  const [first] = holders();
  const next = ['b', 'd', 'g'].find((id) => !holders().includes(id))!;
  logs.at(next).takeOver('key', { epoch: 2, by: memberId(next) });
  await logs.clock.run(settleMs + doneMs);
  equal(holders().length, 2);
  logs.kill(first!);
  await logs.clock.run(settleMs + doneMs);
  equal(holders().length, 2);
  logs.close();
});

test('[J8] one that somebody took over who has its copies elsewhere by now is left to that one', async () => {
  const { logs, holders } = await streaming();
  const old = holders().find((id) => 'def'.includes(id))!;
  const next = ['d', 'e', 'f'].find((id) => id !== old)!;
  const fence = { epoch: 2, by: memberId(next) };
  logs.at(next).takeOver('key', fence);
  logs.at(next).open('key', { owner: '', fence, bytes: text(all), urgent: true }, deaf);
  await logs.clock.run(500);
  equal(holders().length, 3);
  const done = logs.at(old).handOn(1_500);
  await logs.clock.run(2_000);
  deepEqual(await done, { orphaned: 0, taken: 0 });
  logs.close();
});

test('[J9] of two copies the shorter one becomes as long as the other', async () => {
  const logs = new Logs({ a: 'x', b: 'y', c: 'z' });
  const fence = { epoch: 1, by: memberId('a') };
  const log = logs.at('a').open('key', { owner: '', fence, bytes: text(all), urgent: true }, deaf);
  await logs.clock.run(500);
  logs.silent.add(memberId('c'));
  log.append(text('and more'), true);
  await logs.clock.run(100);
  logs.kill('a');
  logs.silent.delete(memberId('c'));
  await logs.clock.run(settleMs + doneMs);
  logs.kill('b');
  equal(await logs.found('c'), `${all}and more`);
  logs.close();
});

test('[J9] how many last copies there were is told, and how many of them are alone', async () => {
  const { logs, holders } = await streaming({ a: 'x', b: 'y', c: 'z' }, ['key', 'other']);
  deepEqual([holders().length, holders('other').length], [2, 2]);
  logs.kill('a');
  await logs.clock.run(settleMs + doneMs);
  deepEqual(logs.facts, []);
  logs.kill('b');
  await logs.clock.run(settleMs + doneMs);
  deepEqual(logs.facts.splice(0), [{ fact: 'journal.alone', logs: 2 }]);
  logs.at('b').close();
  logs.join('d', 'x');
  logs.kill('b');
  await logs.clock.run(settleMs + doneMs);
  deepEqual(logs.facts, [{ fact: 'journal.recopied', logs: 2 }]);
  logs.close();
});

test('[J9] who does not answer has nothing, and is passed over', async () => {
  const { logs, holders } = await streaming();
  const [first, last] = holders();
  for (const id of ['a', first!]) logs.kill(id);
  const others = Object.keys(nine).filter((id) => !['a', first, last].includes(id));
  for (const id of others.slice(0, 3)) logs.silent.add(memberId(id));
  await logs.clock.run(settleMs + 10_000);
  equal(holders().length, 2);
  logs.close();
});

test('[J9] many go one lot after the other, and no longer than they would have been held', async () => {
  const ids = Array.from({ length: 450 }, (_, i) => `key ${i}`);
  const { logs, holders } = await streaming({ a: 'x', b: 'y' }, ids);
  logs.kill('a');
  logs.join('c', 'z');
  const given = (): number => ids.filter((id) => holders(id).length === 2).length;
  await logs.clock.run(settleMs + 500);
  equal(given(), 200);
  await logs.clock.run(1_000);
  equal(given(), 400);
  await logs.clock.run(1_000);
  equal(given(), ids.length);
  await logs.clock.run(305_000);
  deepEqual([logs.at('b').held().streams, logs.at('c').held().streams], [0, 0]);
  logs.close();
});
