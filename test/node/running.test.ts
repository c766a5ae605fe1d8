import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { Gate } from '../../src/node/gate.ts';
import type { LegEars } from '../../src/node/leg.ts';
import type { ClientEnd } from '../../src/node/client-end.ts';
import { Running, type About } from '../../src/node/running.ts';
import type { ServedModel, Serving } from '../../src/node/serving.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import { instant, never } from '../../src/std/time.ts';
import { readItem, type Item } from '../../src/stream/chunk.ts';
import { init } from '../../src/stream/state.ts';
import { chat, chunk } from '../stream/counting.ts';
import { VirtualClock } from './world.ts';

const member = memberId('b');
const about: About = {
  ...{
    id: 'req',
    headers: {},
    createdAt: 1_700_000_000,
    arrivedAt: instant(0),
    resumes: false,
    claim: { owner: 'o', digest: 'd' },
  },
  ...{ stream: 's', once: false, place: null, owner: '' },
};

/** An event that throws when the generation looks into it. */
const defective: Item = {
  ...{ type: 'chunk', raw: '' },
  get chunk(): never {
    throw new Error('a defect');
  },
};

/** One generation on a member that says what the test says; `send`: what the way to its client does. */
function rig(send: (data: string) => void = () => {}) {
  const clock = new VirtualClock();
  const facts: string[] = [];
  const out: string[] = [];
  const engine = { aborted: 0, ears: null as LegEars | null };
  const held: string[] = [];
  /** Members that take the model, as far as anybody looks. */
  const ready: MemberId[] = [];
  const serving: Partial<Serving> = {
    self: memberId('a'),
    sent: () => () => {},
    model: () => ({ ready: ready.map((one) => ({ member: one })) }) as unknown as ServedModel,
    suspect: (one, why) => void held.push(`suspect ${one} ${why}`),
    report: ({ fact, ...fields }) => facts.push([fact, ...Object.values(fields)].join(' ')),
  };
  const client: ClientEnd = {
    send: ({ data }) => {
      send(data);
      out.push(data);
    },
    comment: () => out.push('comment'),
    close: () => out.push('closed'),
    answer: () => out.push('answer'),
    refuse: ({ complaint }) => out.push(`refused ${complaint.code}`),
  };
  const gate = new Gate({ stream: 's', clock, commits: false, streamed: true, from: null });
  const way = { client, gate, protection: 'exact', begin: null, headBy: never } as const;
  const running = new Running(init(chat(), instant(0)), way, about, {
    ...{
      serving: serving as Serving,
      clock,
      judge: ({ failed }) => void held.push(failed ? 'failed' : 'sound'),
    },
    place: () => ({ type: 'chosen', member }),
    openLeg: (_to, _request, ears) => {
      engine.ears = ears;
      return { abort: () => engine.aborted++ };
    },
  });
  running.begin();
  engine.ears?.news({ type: 'answered' });
  const say = (item: Item): void => engine.ears?.news({ type: 'item', item });
  return { clock, facts, out, engine, say, held, gate, running, ready };
}

test('[S15] what throws while an engine is heard costs that generation, with a word to its client, and no other', async () => {
  const { clock, facts, out, engine, say } = rig();
  say(readItem(chunk(1_000, 'One')));
  equal(out.length, 2);
  say(defective);
  say(defective);
  await clock.run(60_000);
  deepEqual(facts, ['request.stumbled req a defect', 'stream.failed defect tiny 1 0 req']);
  const [, , complaint, ...rest] = out;
  deepEqual([complaint?.includes('answer_lost'), rest], [true, ['[DONE]', 'closed']]);
  equal(engine.aborted, 1);
});

test('[J5] an answer whose log is kept no more goes on, and its node tells', () => {
  const { facts, out, say, gate } = rig();
  say(readItem(chunk(1_000, 'One')));
  gate.outgrown();
  say(readItem(chunk(1_001, ' two')));
  deepEqual([facts, out.at(-1)?.includes(' two')], [['stream.outgrown req'], true]);
});

test('[S15] one that stumbles before its first word is refused', () => {
  const { out, say } = rig();
  say(defective);
  deepEqual(out, ['refused answer_lost']);
});

test('[S15] a way to the client that throws ends the generation that goes by it', () => {
  const { facts, out, engine, say } = rig(() => {
    throw new Error('no way');
  });
  say(readItem(chunk(1_000, 'One')));
  deepEqual(
    [new Set(facts.map((fact) => fact.split(' ')[0])), out.at(-1), engine.aborted],
    [new Set(['request.stumbled', 'stream.failed']), 'closed', 1],
  );
});

test('[S11] who is in doubt keeps what it has not begun once it is trusted again', async () => {
  for (const isTrusted of [true, false]) {
    const { clock, engine, running, ready } = rig();
    running.move(member, 'suspect');
    ready.push(memberId('c'), ...(isTrusted ? [member] : []));
    await clock.run(250);
    equal(engine.aborted, isTrusted ? 0 : 1);
  }
});

test('[R13] what was not begun is held against whose fault it is: the member, its engine, or nobody who said why', () => {
  for (const [fault, expected] of [
    ['member', ['suspect b why', 'failed']],
    ['engine', ['failed']],
    [null, []],
  ] as const) {
    const { engine, held, out } = rig();
    const { ears } = engine;
    ears?.news({ type: 'unreached', why: 'why', fault });
    deepEqual(held, expected);
    ok(engine.ears !== ears, 'it is asked for elsewhere');
    deepEqual(out, []);
  }
});

test('[R13] an answer that broke off is held against its member, unless it was ours to have no room for it', () => {
  for (const [cause, expected] of [
    ['reset', ['suspect b why', 'failed']],
    ['nonsense', ['failed']],
    ['eof', []],
    ['crowded', []],
  ] as const) {
    const { engine, held } = rig();
    engine.ears?.news({ type: 'ended', cause, why: 'why' });
    deepEqual(held, expected);
  }
});
