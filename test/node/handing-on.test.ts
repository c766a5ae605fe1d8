/** What becomes of the logs that a node holds when it leaves. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { messageBytes, readVerdicts, verdictBytes, type HandedLog } from '../../src/journal/wire.ts';
import type { ClusterPort, Known } from '../../src/node/cluster-port.ts';
import type { AskMember } from '../../src/node/finding.ts';
import { handOn as handOnBy, type HandedOn } from '../../src/node/handing-on.ts';
import { holdersAmong } from '../../src/node/holders.ts';
import { listeners } from '../../src/node/listeners.ts';
import type { Life } from '../../src/registry/record.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import { instant } from '../../src/std/time.ts';
import { record } from '../registry/rig.ts';
import { deaf, Logs } from './logs.ts';
import { VirtualClock } from './world.ts';

const six = { a: 'x', b: 'x', c: 'y', d: 'y', e: 'z', f: 'z' };
const goodbyeMs = 1_500;
const text = (words: string): Uint8Array => new TextEncoder().encode(words);

/** A stream that entered at `a`, and who holds copies of it. */
async function streaming(zones: Readonly<Record<string, string>> = six, words = 'all of it') {
  const logs = new Logs(zones);
  const log = { owner: '', fence: { epoch: 1, by: memberId('a') }, bytes: text(words), urgent: true };
  logs.at('a').open('key', log, deaf);
  await logs.clock.run(500);
  return { logs, holders: () => logs.holders('key') };
}

async function handOn(logs: Logs, id: string): Promise<HandedOn & { readonly afterMs: number }> {
  const since = logs.clock.now();
  let told: (HandedOn & { readonly afterMs: number }) | null = null;
  logs.leave(id);
  void logs
    .at(id)
    .handOn(goodbyeMs)
    .then((handed) => (told = { ...handed, afterMs: logs.clock.now() - since }));
  await logs.clock.run(goodbyeMs);
  ok(told !== null, 'the goodbye waits for longer than it has time');
  return told;
}

test('[J8] the last copy of a log whose entry node is gone goes to two others, before its holder has left', async () => {
  const { logs, holders } = await streaming();
  logs.kill('a');
  const [first, last] = holders();
  logs.kill(first!);
  const { orphaned, taken, afterMs } = await handOn(logs, last!);
  deepEqual([orphaned, taken], [1, 1]);
  ok(afterMs < 10, `${afterMs} ms`);
  logs.kill(last!);
  equal(holders().length, 2);
  equal(await logs.found(holders()[0]!), 'all of it');
  logs.close();
});

test('[J8] so does that of one that was started again, and knows nothing of it', async () => {
  const { logs, holders } = await streaming();
  logs.restart('a');
  for (let times = 0; times < 3; times++) {
    const [leaver] = holders();
    deepEqual(await handOn(logs, leaver!).then(({ orphaned, taken }) => [orphaned, taken]), [1, 1]);
    logs.kill(leaver!);
    equal(holders().length, 2);
  }
  logs.close();
});

test('[J8] what its entry node looks after is left to it, though it does not answer, unless it is in doubt', async () => {
  const { logs, holders } = await streaming();
  const [first, second] = holders();
  equal((await handOn(logs, first!)).orphaned, 0);
  equal(holders().length, 3, 'its entry node made the copy anew');
  logs.silent.add(memberId('a'));
  equal((await handOn(logs, second!)).orphaned, 0);
  logs.suspect.add(memberId('a'));
  equal((await handOn(logs, second!)).orphaned, 1);
  logs.close();
});

test('[J8] who does not take it is passed over, and the goodbye has its time', async () => {
  const { logs, holders } = await streaming();
  logs.kill('a');
  const [first, last] = holders();
  logs.kill(first!);
  const others = Object.keys(six).filter((id) => ![...holders(), 'a', first].includes(id));
  for (const mute of others) {
    const alone = await streaming();
    alone.logs.kill('a');
    for (const id of [first!, mute]) id === mute ? alone.logs.silent.add(memberId(id)) : alone.logs.kill(id);
    equal((await handOn(alone.logs, last!)).taken, 1);
    alone.logs.kill(last!);
    equal(alone.holders().length, 2, `without ${mute}`);
    alone.logs.close();
  }
  for (const mute of others) logs.silent.add(memberId(mute));
  equal((await handOn(logs, last!)).taken, 0);
  logs.close();
});

test('[J8] a node alone, and one that holds nothing, leave at once', async () => {
  const { logs, holders } = await streaming({ a: 'x', b: 'y' });
  logs.kill('a');
  deepEqual(holders(), ['b']);
  deepEqual(await handOn(logs, 'b'), { orphaned: 1, taken: 0, afterMs: 0 });
  const idle = new Logs(six);
  deepEqual(await handOn(idle, 'c'), { orphaned: 0, taken: 0, afterMs: 0 });
  for (const one of [logs, idle]) one.close();
});

test('[J8] who looks for a log asks those that are about to leave as well, and they hear who takes it over', async () => {
  const { logs, holders } = await streaming();
  logs.kill('a');
  const [first, last] = holders();
  logs.kill(first!);
  logs.leave(last!);
  equal(await logs.found('b'), 'all of it');
  logs.at('b').takeOver('key', { epoch: 2, by: memberId('b') });
  await logs.clock.run(100);
  equal(logs.at(last!).copyOf('key')?.entry, 'b');
  logs.close();
});

/** So many logs of one entry node that is gone, all of them at `c`; every other one has ended. */
async function orphaned(count: number, bytes: number, joining: Readonly<Record<string, string>>) {
  const logs = new Logs({ a: 'x', c: 'y' });
  const ids = Array.from({ length: count }, (_, i) => `key ${i}`);
  for (const [i, id] of ids.entries()) {
    const fence = { epoch: 1, by: memberId('a') };
    const log = { owner: '', fence, bytes: new Uint8Array(bytes), urgent: false };
    const written = logs.at('a').open(id, log, deaf);
    if (i % 2 === 0) written.end(60_000);
  }
  await logs.clock.run(10_000);
  equal(logs.at('c').held().streams, count);
  logs.kill('a');
  for (const [id, zone] of Object.entries(joining)) logs.join(id, zone);
  logs.asks = 0;
  return { logs, ids };
}

test('[J8] many go in messages of a megabyte, and of what is too much those that run', async () => {
  const bytes = 400_000;
  const { logs, ids } = await orphaned(180, bytes, { d: 'z' });
  const { orphaned: found, taken } = await handOn(logs, 'c');
  const most = Math.floor((64 * 1_024 ** 2) / bytes);
  deepEqual([found, taken], [ids.length, most]);
  equal(logs.asks, Math.ceil(most / 2));
  ok(ids.every((id, i) => i % 2 === 0 || logs.at('d').copyOf(id) !== null));
  logs.close();
});

test('[J8] a member that does not answer holds up nothing that waits for it', async () => {
  const { logs, ids } = await orphaned(40, 400_000, { d: 'x', e: 'y', f: 'z' });
  logs.silent.add(memberId('d'));
  await handOn(logs, 'c');
  for (const id of ids)
    for (const node of ['e', 'f']) ok(logs.at(node).copyOf(id) !== null, `${id} at ${node}`);
  logs.close();
});

test('[J8] where members are slow the time is up before all is told', async () => {
  const { logs } = await orphaned(40, 400_000, { d: 'x' });
  logs.wayMs = 200;
  const { orphaned: found, taken, afterMs } = await handOn(logs, 'c');
  deepEqual([found, taken, afterMs], [40, 6, goodbyeMs]);
  logs.close();
});

test('[J8] who is given a log that it writes itself has it, unless it was taken over meanwhile', async () => {
  const { logs, holders } = await streaming({ a: 'x', b: 'y', c: 'z' });
  equal(holders().length, 2);
  const fenced: string[] = [];
  const fence = { epoch: 3, by: memberId('b') };
  const own = { owner: '', fence, bytes: text('own'), urgent: false };
  logs.at('b').open('own', own, { ...deaf, fenced: () => fenced.push('own') });
  const log = {
    owner: '',
    fence,
    session: 1,
    ended: false,
    leftMs: 1_000,
    bytes: text('handed on, and longer'),
  };
  const give = (...some: readonly HandedLog[]): unknown => {
    const answer = logs.at('b').answer(memberId('c'), messageBytes({ type: 'hand', logs: some }));
    return answer && readVerdicts(answer);
  };
  const shorter = { ...log, id: 'key', fence: { epoch: 1, by: memberId('a') } };
  // What its entry node writes there is not replaced.
  deepEqual(give({ ...log, id: 'own' }, shorter), [{ number: 1, why: 'fenced' }]);
  deepEqual([logs.at('b').copyOf('own'), fenced], [null, []]);
  deepEqual(give({ ...log, id: 'own', fence: { epoch: 4, by: memberId('d') } }), []);
  deepEqual([logs.at('b').copyOf('own')?.entry, fenced], ['d', ['own']]);
  logs.close();
});

test('[J8] where nobody has room four are asked, and no more; who is in doubt is not', () => {
  for (const [members, most] of [
    [20, 4],
    [3, 2],
  ] as const) {
    const candidates = Array.from({ length: members }, (_, i) => {
      return { id: memberId(`m${i}`), zone: `zone ${i % 3}`, isFit: i > 0 };
    });
    const fence = { epoch: 1, by: memberId('gone') };
    const log = { id: 'key', owner: '', fence, session: 1, ended: false, leftMs: 1_000, bytes: text('all') };
    const asked: string[] = [];
    const told: HandedOn[] = [];
    const ask: AskMember = (member, _message, _withinMs, tell) => {
      asked.push(member);
      tell(verdictBytes([{ number: 0, why: 'full' }]));
    };
    const ports = { zone: 'zone 0', clock: new VirtualClock(), candidates, present: candidates, ask };
    handOnBy([log], goodbyeMs, ports, (handed) => told.push(handed));
    deepEqual(told, [{ orphaned: 1, taken: 0 }]);
    deepEqual([asked.length, new Set(asked).size], [most, most]);
  }
});

test('[J2] [J8] those that serve get copies, and those that leave are asked for what they have', () => {
  const known = (name: string, more: Partial<Known> & { readonly life?: Life } = {}): Known => {
    const { id, peerId, zone, ...rest } = record(name, more.life && { life: more.life });
    const about = {
      id,
      peerId,
      zone,
      record: { id, peerId, zone, ...rest },
      load: null,
      heardAt: instant(0),
    };
    return { ...about, health: 'alive', ...more };
  };
  const draining = { phase: 'draining', reason: 'operator', deadline: 0 } as const;
  const all = [
    known('serving'),
    known('suspect', { health: 'suspect' }),
    known('draining', { life: draining }),
    known('left', { life: { phase: 'left' } }),
    known('dead', { health: 'dead' }),
    known('unknown', { record: null }),
    known('operator', { record: record('operator', { role: 'operator' }) }),
  ];
  const members = new Map(all.map((one) => [one.id, one]));
  const changed = listeners<[id: MemberId]>();
  const cluster = { members: () => [...members.values()], member: (id: MemberId) => members.get(id) ?? null };
  const holders = holdersAmong({ ...cluster, changed } as unknown as ClusterPort);
  let times = 0;
  const gone: (string | null)[] = [];
  holders.onChanged((id) => {
    times++;
    gone.push(id);
  });
  const ids = (some: readonly { readonly id: string }[]): readonly string[] => some.map(({ id }) => id);
  deepEqual(ids(holders.candidates()), ['i-serving', 'i-suspect']);
  deepEqual(ids(holders.present()), ['i-serving', 'i-suspect', 'i-draining']);
  const serving = memberId('i-serving');
  changed.tell(serving);
  equal(times, 0);
  members.set(serving, known('serving', { life: draining }));
  changed.tell(serving);
  equal(times, 1);
  deepEqual(ids(holders.candidates()), ['i-suspect']);
  const suspect = memberId('i-suspect');
  for (const more of [{}, {}, { life: draining }]) {
    const again = record('suspect', { incarnation: 2, ...more });
    members.set(suspect, known('suspect', { health: 'suspect', record: again }));
    changed.tell(suspect);
  }
  members.delete(serving);
  changed.tell(serving);
  // Started again it has lost what it had, as one that is gone has.
  deepEqual(gone, [null, suspect, null, serving]);
});
