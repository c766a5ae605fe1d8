import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { Witness } from '../../lab/witness.ts';
import { healedMs, seenAcross } from './healing.ts';

const nodes = [0, 1, 2, 3].map((index) => ({ index, id: `i-${index}` }));
const halves = [nodes.slice(0, 2), nodes.slice(2)] as const;
const members = new Map(nodes.map(({ index, id }) => [index, id]));
const ample = { withinMs: 30_000, quietMs: 5, isWhole: () => Promise.resolve(true) };

/** Four nodes, of which each has seen the others join; `say` as a node's log does. */
function village() {
  const witness = new Witness();
  const say = (by: number, fact: string, of: number, time: number): void =>
    witness.hear(by, JSON.stringify({ fact, time, member: `i-${of}` }));
  const each = (fact: string, time: number, isOf: (by: number, of: number) => boolean): void => {
    for (const by of members.keys())
      for (const of of members.keys()) if (by !== of && isOf(by, of)) say(by, fact, of, time);
  };
  for (const by of members.keys()) witness.begin(by);
  each('member.joined', 1_000, () => true);
  const settled = async (withinMs: number): Promise<void> => {
    if (!(await witness.until(() => witness.agree(members), withinMs))) throw new Error('views differ');
  };
  return { witness, settled, say, each };
}

const isAcross = (by: number, of: number): boolean => by < 2 !== of < 2;

test('a cut bit when nobody on either side holds anybody of the other one alive', () => {
  const { witness, say, each } = village();
  equal(seenAcross(witness, halves).length, 8);
  each('member.suspected', 2_000, isAcross);
  deepEqual(seenAcross(witness, halves), []);
  say(3, 'member.recovered', 0, 2_100);
  deepEqual(seenAcross(witness, halves), ['3 holds 0 alive']);
});

test('a partition is healed at the last change before all views are whole', async () => {
  const { each, say, ...lab } = village();
  each('member.died', 2_000, isAcross);
  each('member.recovered', 3_000, (by, of) => isAcross(by, of) && by !== 3);
  const healing = healedMs(lab, 2_500, ample);
  say(3, 'member.recovered', 0, 3_900);
  say(3, 'member.recovered', 1, 4_000);
  equal(await healing, 1_500);
});

test('a node that never recovers is no healing, however soon the others did', async () => {
  const { each, say, ...lab } = village();
  each('member.died', 2_000, isAcross);
  each('member.recovered', 3_000, (by, of) => isAcross(by, of) && !(by === 3 && of === 0));
  await rejects(healedMs(lab, 2_500, { ...ample, withinMs: 50 }), /views differ/);
});

test('views that are equal only for a moment are not healed yet', async () => {
  let [looks, settles] = [0, 0];
  const settled = (): Promise<void> => Promise.resolve(void settles++);
  const witness = {
    get changedAt(): number {
      return looks++ === 0 ? 5_000 : 6_000;
    },
  };
  equal(await healedMs({ witness, settled }, 2_500, ample), 3_500);
  equal(settles, 2);
  const restless = {
    get changedAt(): number {
      return looks++;
    },
  };
  const brief = { ...ample, withinMs: 50 };
  await rejects(healedMs({ witness: restless, settled }, 0, brief), /still change/);
});

test('a node that says otherwise when it is asked is not healed', async () => {
  const { each, say, ...lab } = village();
  await rejects(healedMs(lab, 500, { ...ample, isWhole: () => Promise.resolve(false) }), /is not whole/);
});
