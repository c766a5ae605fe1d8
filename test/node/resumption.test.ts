/** Who waits for an answer that is given once, or goes on with one, and leaves before it comes. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { StreamLog } from '../../src/node/journals.ts';
import { join, resume, type ResumptionPorts, type Taken } from '../../src/node/resumption.ts';
import type { ClientEnd } from '../../src/node/client-end.ts';
import { noAbility } from '../../src/std/ability.ts';
import type { Json } from '../../src/std/json.ts';
import { memberId } from '../../src/std/member-id.ts';
import { nextLegOf } from '../../src/stream/carrier.ts';
import type { Endpoint } from '../../src/stream/chunk.ts';
import { answerBytes, openingBytes, recordBytes } from '../../src/stream/record.ts';
import { readRequest, type Sent } from '../../src/stream/request.ts';
import { deaf, Logs } from './logs.ts';

const claim = { owner: 'me', digest: 'this' };
const engines = { maxModelLen: 1_000, ability: noAbility, seed: 1 };
const sentAs = (body: Json): Sent => ({ body, raw: JSON.stringify(body) });
const sent = sentAs({ model: 'm', prompt: 'p', max_tokens: 20 });
const messages = [{ role: 'user', content: 'p' }];
const chat = sentAs({ model: 'm', messages, stream: true, max_tokens: 20, min_tokens: 9 });
const sentTo = (endpoint: Endpoint): Sent => (endpoint === 'chat' ? chat : sent);
const named = { id: 'cmpl-7', created: 1_700_000_000 };
const openingOf = (name: typeof named | null, endpoint: Endpoint = 'completions'): Uint8Array =>
  openingBytes({
    ...{ endpoint, model: 'm', raw: sentTo(endpoint).raw, engines, named: name, apart: false },
    ...claim,
  });
const opening = openingOf(named);

/** One node that works at the answer, and others that hold copies, if any. */
function rig(zones: Readonly<Record<string, string>>) {
  const logs = new Logs(zones);
  const told: string[] = [];
  const made: string[] = [];
  const client: ClientEnd = {
    send: () => {},
    comment: () => {},
    close: () => told.push('closed'),
    answer: ({ body }) => told.push(body),
    refuse: ({ status }) => told.push(`refused ${status}`),
  };
  const ends = {
    client,
    begin: () => void told.push('begun'),
    goOn: ({ epoch }: Taken) => void told.push(`gone on at ${epoch}`),
  };
  const portsOf = (node: string): ResumptionPorts => ({
    ...{ self: memberId(node), journals: logs.at(node), clock: logs.clock },
    read: ({ opening: { endpoint, named } }) => readRequest(endpoint, sentTo(endpoint), engines, named),
    catchUp: ({ state }) => {
      made.push(nextLegOf(state.carrier)?.body ?? '');
      told.push('made again');
      return () => void told.push('given up');
    },
  });
  const log = (bytes = opening): StreamLog =>
    logs
      .at('a')
      .open('key', { owner: '', fence: { epoch: 1, by: memberId('a') }, bytes, urgent: true }, deaf);
  return {
    ...{ logs, told, made, log },
    join: (node: string) => join('key', claim, ends, portsOf(node)),
    resume: (node: string, tokens: number, attempt: number | null = null) =>
      resume({ stream: 'key', mark: { tokens, hash: 1 }, attempt }, claim, ends, portsOf(node)),
  };
}

test('who leaves a node that has no other to ask waits no more', async () => {
  const { logs, told, log, join: enter } = rig({ a: 'x' });
  const writer = log();
  const leave = enter('a');
  await logs.clock.run(500);
  leave();
  // Nobody answered it: whoever waited would go on with it now.
  writer.end(60_000);
  await logs.clock.run(10_000);
  equal(told.length, 0, told.join());
  logs.close();
});

test('who stays is told the answer as soon as it is there', async () => {
  for (const zones of [{ a: 'x' }, { a: 'x', b: 'y', c: 'z' }])
    for (const node of Object.keys(zones)) {
      const { logs, told, log, join: enter } = rig(zones);
      const writer = log();
      await logs.clock.run(500);
      enter(node);
      await logs.clock.run(10_000);
      equal(told.length, 0);
      writer.append(answerBytes({ type: 'answer', status: 200, body: 'all' }), true);
      writer.end(60_000);
      await logs.clock.run(2_500);
      equal(told.join(), 'all', node);
      logs.close();
    }
});

test('who leaves while what it has is made again ends that, where there is no other node as well', async () => {
  const { logs, told, log, resume: goOn } = rig({ a: 'x' });
  const head = { id: 'i', created: 1, model: 'm' };
  log().append(recordBytes({ type: 'born', head, fingerprint: null, promptIds: [1] }), true);
  const leave = goOn('a', 5);
  await logs.clock.run(10);
  equal(told.join(), 'made again');
  leave();
  equal(told.join(), 'made again,given up');
  logs.close();
});

test('of a log without a word of the answer it is made again where its name is known, and else gone', async () => {
  for (const [name, wanted] of [
    [named, 'made again'],
    [null, 'refused 410'],
  ] as const) {
    const { logs, told, log, resume: goOn } = rig({ a: 'x' });
    log(openingOf(name));
    goOn('a', 5);
    await logs.clock.run(10);
    equal(told.join(), wanted);
    logs.close();
  }
});

test('[S33] what a client has of an answer without a word in its log is asked for just so far', async () => {
  for (const endpoint of ['completions', 'chat'] as const) {
    const { logs, made, log, resume: goOn } = rig({ a: 'x' });
    log(openingOf(named, endpoint));
    goOn('a', 5);
    await logs.clock.run(10);
    const asked = JSON.parse(made.join()) as Json;
    equal(asked['max_tokens'], 5);
    equal(asked['max_completion_tokens'], endpoint === 'chat' ? 5 : undefined);
    equal(asked['min_tokens'], endpoint === 'chat' ? 5 : undefined);
    logs.close();
  }
});

test('[S31] an attempt that its client gave up for another one takes nothing from that one', async () => {
  const { logs, told, log, resume: goOn } = rig({ a: 'x', b: 'y', c: 'z' });
  log();
  await logs.clock.run(500);
  // The first is at a node that stands still, and the second is served before that one goes on.
  goOn('b', 0, 2);
  await logs.clock.run(500);
  goOn('c', 0, 1);
  await logs.clock.run(2_000);
  deepEqual(told.splice(0), ['gone on at 3', 'refused 409']);
  goOn('c', 0, 3);
  await logs.clock.run(2_000);
  deepEqual(told, ['gone on at 4']);
  logs.close();
});

test('[S31] of two attempts that find the same at once the later one wins, whatever its node is called', async () => {
  for (const [first, second] of [
    ['b', 'c'],
    ['c', 'b'],
  ] as const) {
    const { logs, told, log, resume: goOn } = rig({ a: 'x', b: 'y', c: 'z' });
    log();
    await logs.clock.run(500);
    goOn(first, 0, 1);
    goOn(second, 0, 2);
    await logs.clock.run(2_000);
    deepEqual(told.sort(), ['gone on at 2', 'gone on at 3']);
    logs.close();
  }
});

test('[S31] clients that do not count their attempts take an answer over each time', async () => {
  const { logs, told, log, resume: goOn } = rig({ a: 'x', b: 'y', c: 'z' });
  log();
  await logs.clock.run(500);
  for (const node of ['b', 'c', 'b']) {
    goOn(node, 0);
    await logs.clock.run(2_000);
  }
  deepEqual(told, ['gone on at 2', 'gone on at 3', 'gone on at 4']);
  logs.close();
});

test('[S31] who is heard to have gone by the time that a log is found takes nothing over', async () => {
  for (const zones of [{ a: 'x' }, { a: 'x', b: 'y', c: 'z' }]) {
    const { logs, told, log, resume: goOn } = rig(zones);
    log();
    await logs.clock.run(500);
    const leave = goOn('a', 0);
    // The others have said all by now, and the end of the client's connection is read behind that.
    await logs.clock.run(4);
    leave();
    await logs.clock.run(2_000);
    equal(told.length, 0);
    logs.close();
  }
});

test('[S31] what a node that is about to leave still works at is waited for, and taken over once it has left', async () => {
  for (const isDone of [true, false]) {
    const { logs, log, told, join: enter } = rig({ a: 'x', b: 'y', c: 'z', d: 'z' });
    const written = log();
    await logs.clock.run(500);
    logs.leave('a');
    enter('d');
    await logs.clock.run(10_000);
    deepEqual(told, []);
    if (isDone) {
      written.append(answerBytes({ type: 'answer', status: 200, body: 'all of it' }), true);
      written.end(60_000);
    } else logs.kill('a');
    await logs.clock.run(5_000);
    deepEqual(told, [isDone ? 'all of it' : 'gone on at 2']);
    logs.close();
  }
});

test('who waits asks the others less and less often, and nobody where this node writes it', async () => {
  const { logs, log, join: enter } = rig({ a: 'x', b: 'y', c: 'z', d: 'z' });
  log();
  await logs.clock.run(500);
  const asksOf = async (node: string): Promise<number> => {
    const leave = enter(node);
    const before = logs.asks;
    await logs.clock.run(20_000);
    leave();
    return logs.asks - before;
  };
  equal(await asksOf('a'), 0);
  // Each look asks the three others, and then the writer whether it is at work.
  const asked = await asksOf('d');
  ok(asked > 20 && asked <= 14 * 4, `${asked} questions in twenty seconds`);
  logs.close();
});
