/** Whose logs stay where there is not room for all: those of whoever has less. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import * as entry from '../../src/journal/entry.ts';
import * as holder from '../../src/journal/holder.ts';
import type { Update, Verdict } from '../../src/journal/wire.ts';
import { memberId } from '../../src/std/member-id.ts';
import { draw, type Rng } from '../../src/std/random.ts';
import { newRoom } from '../../src/std/room.ts';
import { instant } from '../../src/std/time.ts';

const kib = 1_024;
/** What a log takes besides its bytes. */
const each = 12 * kib;

/** A holder with so much room, and what entry nodes tell it, one update in a batch. */
function rig(max: number) {
  const state = holder.init(max);
  const numbers = new Map<string, number>();
  let now = 0;
  const tell = (from: string, update: Update): Verdict['why'] | null => {
    const batch = { type: 'batch', session: 1, updates: [update] } as const;
    const [, [answer]] = holder.step(state, { type: 'batch', from: memberId(from), batch }, instant(now++));
    return answer!.verdicts[0]?.why ?? null;
  };
  const numberOf = (id: string): number => {
    const number = numbers.get(id) ?? numbers.size + 1;
    numbers.set(id, number);
    return number;
  };
  const lengths = new Map<string, number>();
  return {
    state,
    open(from: string, id: string, owner: string, bytes: number) {
      lengths.set(id, bytes);
      const fence = { epoch: 1, by: memberId(from) };
      const log = new Uint8Array(bytes);
      return tell(from, { type: 'open', number: numberOf(id), id, owner, fence, bytes: log });
    },
    grow(from: string, id: string, bytes: number) {
      const offset = lengths.get(id) ?? 0;
      lengths.set(id, offset + bytes);
      return tell(from, { type: 'grow', number: numberOf(id), offset, bytes: new Uint8Array(bytes) });
    },
    end: (from: string, id: string) => tell(from, { type: 'end', number: numberOf(id), lingerMs: 60_000 }),
    ids: () => [...state.streams.keys()],
  };
}

test('[J7] one key with huge answers keeps no log of another key out, and pushes none out that is there', () => {
  const { open, grow, end, ids, state } = rig(932 * kib);
  const gone = (...some: readonly string[]): readonly string[] => some.filter((id) => !ids().includes(id));
  equal(open('x', 'b0', 'b', 20 * kib), null);
  equal(end('x', 'b0'), null);
  for (let i = 0; i < 9; i++) equal(open('x', `a${i}`, 'a', 88 * kib), null);
  equal(open('x', 'a9', 'a', 88 * kib), 'full');
  // What has ended goes first, and then the largest, however old or new.
  equal(end('x', 'a4'), null);
  equal(grow('x', 'a7', 10 * kib), null);
  deepEqual(gone('a4', 'b0'), ['a4']);
  equal(open('x', 'b1', 'b', 176 * kib), null);
  deepEqual(gone('a0', 'a1', 'a7', 'b0'), ['a7']);
  equal(open('x', 'b2', 'b', 80 * kib), null);
  equal(grow('x', 'b2', 80 * kib), null);
  deepEqual(gone('b0', 'b1', 'b2'), []);
  // Who speaks of what gave way is told that there is no room, and not that the whole log is wanted.
  equal(grow('x', 'a7', kib), 'full');
  equal(open('x', 'a7', 'a', 200 * kib), 'full');
  ok(state.room.taken <= state.room.max);
});

test('[J7] one entry node keeps no log of another out, by whatever names of keys', () => {
  for (const nameOf of [(i: number) => `made up ${i}`, () => 'a']) {
    const { open, ids } = rig(1_024 * kib);
    for (let i = 0; i < 200; i++) open('liar', `l${i}`, nameOf(i), 2 * kib);
    for (let i = 0; i < 16; i++) equal(open('x', `x${i}`, 'a', 16 * kib), null);
    for (let i = 200; i < 400; i++) open('liar', `l${i}`, nameOf(i), 2 * kib);
    equal(ids().filter((id) => id.startsWith('x')).length, 16);
  }
});

test('[J7] who would have most with what it asks for does not get it', () => {
  for (const [from, owner] of [
    ['y', 'a'],
    ['x', 'b'],
  ] as const) {
    const { open, ids } = rig(1_024 * kib);
    for (let i = 0; i < 4; i++) equal(open('x', `x${i}`, 'a', 88 * kib), null);
    equal(open(from, 'more', owner, 700 * kib), 'full');
    equal(ids().length, 4);
  }
});

test('[J7] one key alone has all of the room, and then what has ended makes some', () => {
  for (const nodes of [['x'], ['x', 'y', 'z']]) {
    const { open, end, grow, ids, state } = rig(1_024 * kib);
    const by = (i: number): string => nodes[i % nodes.length]!;
    for (let i = 0; i < 16; i++) equal(open(by(i), `s${i}`, '', 52 * kib), null);
    equal(state.room.taken, state.room.max);
    equal(open(by(0), 'more', '', kib), 'full');
    for (let i = 0; i < 3; i++) equal(end(by(i), `s${i}`), null);
    equal(open(by(0), 'more', '', kib), null);
    equal(grow(by(3), 's3', 40 * kib), null);
    ok(!ids().includes('s0'));
    equal(ids().filter((id) => Number(id.slice(1)) > 2).length, 13);
  }
});

test('[J7] whoever has at most an equal part keeps all of it, whatever the others do', () => {
  for (let seed = 1; seed <= 30; seed++) {
    let rng: Rng = { seed };
    const below = (bound: number): number => {
      const [value, next] = draw(rng, bound);
      rng = next;
      return value;
    };
    const { open, grow, end, ids, state } = rig(2_048 * kib);
    const modest: string[] = [];
    for (let i = 0; i < 600; i++) {
      const from = `n${below(4)}`;
      const owner = below(2) === 0 ? 'huge' : `k${below(4)}`;
      const theirs = ids().filter((id) => id.startsWith('s'));
      const known = theirs[below(Math.max(1, theirs.length))];
      const held = known === undefined ? undefined : state.streams.get(known);
      const dice = below(10);
      if (held !== undefined && dice < 3) grow(held.from, known!, below(60) * kib);
      else if (held !== undefined && dice < 5) end(held.from, known!);
      else open(from, `s${i}`, owner, below(owner === 'huge' ? 300 : 60) * kib);
      ok(state.room.taken <= state.room.max);
      if (i % 40 !== 0) continue;
      // A part of five entry nodes is above 400 kB, and of its two keys above 200.
      const id = `modest${modest.length}`;
      equal(open('modest', id, `m${modest.length % 2}`, 8 * kib), null, `seed ${seed}`);
      modest.push(id);
    }
    deepEqual(
      modest.filter((id) => !ids().includes(id)),
      [],
    );
    const bytes = [...state.streams.values()].reduce((sum, { log }) => sum + log.length + each, 0);
    equal(state.room.taken, bytes);
  }
});

test('[J7] of the logs that linger at their entry node those of the key that has most of them go', () => {
  const state = { ...entry.init({ session: 1, zone: 'a' }), ended: newRoom(100 * kib) };
  let now = 0;
  const run = (id: string, owner: string, bytes: number): void => {
    const fence = { epoch: 1, by: memberId('a') };
    const log = new Uint8Array(bytes);
    entry.step(state, { type: 'open', id, owner, fence, bytes: log, urgent: false }, instant(now++));
    entry.step(state, { type: 'end', id, lingerMs: 60_000 }, instant(now++));
  };
  for (let i = 0; i < 3; i++) run(`small${i}`, 'b', 10 * kib);
  for (let i = 0; i < 20; i++) run(`huge${i}`, 'a', 30 * kib);
  deepEqual(
    [...state.kept.values()].map(({ id }) => id),
    ['small0', 'small1', 'small2', 'huge18', 'huge19'],
  );
});

/** An entry node with so much room, and what its streams tell it. */
function entryRig(
  rooms: { readonly room?: number; readonly ended?: number },
  members: readonly string[] = [],
) {
  const { room = 1_024 * kib, ended = 1_024 * kib } = rooms;
  const state = { ...entry.init({ session: 1, zone: 'a' }), room: newRoom(room), ended: newRoom(ended) };
  let now = 0;
  const tell = (event: entry.Event) => entry.step(state, event, instant(now++))[1];
  const candidates = members.map((id) => ({ id: memberId(id), zone: 'b', isFit: true }));
  tell({ type: 'members', candidates });
  const outgrown = (effects: ReturnType<typeof tell>): readonly string[] =>
    effects.flatMap((effect) => (effect.type === 'outgrown' ? [effect.id] : []));
  const fence = { epoch: 1, by: memberId('a') };
  return {
    state,
    open: (id: string, owner: string, bytes: number) =>
      outgrown(tell({ type: 'open', id, owner, fence, bytes: new Uint8Array(bytes), urgent: false })),
    grow: (id: string, bytes: number) =>
      outgrown(tell({ type: 'append', id, bytes: new Uint8Array(bytes), urgent: false })),
    end: (id: string) => outgrown(tell({ type: 'end', id, lingerMs: 60_000 })),
    logs: () => [...state.numberById.keys()],
  };
}

test('[J7] where nothing of the key that has most may go, what lingers of another one goes', () => {
  const { state, open, end, logs } = entryRig({ ended: 100 * kib }, ['b']);
  for (let i = 0; i < 3; i++) open(`copying${i}`, 'a', 30 * kib);
  state.candidates = [];
  for (let i = 0; i < 3; i++) open(`alone${i}`, 'b', 10 * kib);
  for (let i = 0; i < 3; i++) end(`alone${i}`);
  for (let i = 0; i < 3; i++) end(`copying${i}`);
  deepEqual(logs(), ['copying0', 'copying1', 'copying2', 'alone2']);
});

test('[J5] all logs of an entry node have a bound: first goes what is over, then the largest of who has most', () => {
  const { state, open, grow, end, logs } = entryRig({ room: 200 * kib });
  open('over', 'b', 20 * kib);
  end('over');
  for (let i = 0; i < 4; i++) deepEqual(open(`huge${i}`, 'a', 30 * kib + i), []);
  deepEqual(open('small', 'b', 50 * kib), []);
  equal(state.room.taken, 190 * kib + 6);
  deepEqual(grow('huge0', 20 * kib), [], 'what is over goes without a word');
  deepEqual(logs(), ['huge0', 'huge1', 'huge2', 'huge3', 'small']);
  deepEqual(grow('huge1', 20 * kib), ['huge1'], 'its owner is told');
  deepEqual(grow('huge1', 20 * kib), [], 'and writes into nothing');
  deepEqual(logs(), ['huge0', 'huge2', 'huge3', 'small']);
  deepEqual(open('larger', 'a', 80 * kib), ['huge0'], 'who is new stays');
  for (const id of logs()) end(id);
  equal(state.ended.taken, state.room.taken);
});
