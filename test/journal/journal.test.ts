/** The journal's rules, over a network that loses, doubles and delays, and one that does not. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { holdersOf, init, logOf, step, type Event } from '../../src/journal/entry.ts';
import type { Effect } from '../../src/journal/kept.ts';
import { heldOf, silentMs } from '../../src/journal/holder.ts';
import { nextPlace, ranked } from '../../src/journal/rendezvous.ts';
import {
  heldBytes,
  messageBytes,
  readHeld,
  readMessage,
  readVerdicts,
  type Message,
} from '../../src/journal/wire.ts';
import { ByteWriter } from '../../src/std/bytes.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import { newRoom } from '../../src/std/room.ts';
import { instant } from '../../src/std/time.ts';
import { append, at, fence, Net, open, owner, six, text } from './net.ts';

const ours = (net: Net, id: string, by: MemberId = at): string =>
  Buffer.from(logOf(net.entries.get(by)!, id)!.bytes).toString();
const copiesOf = (net: Net, id: string): readonly string[] =>
  net.held(id).map((member) => Buffer.from(heldOf(net.holders.get(member)!, id)!.bytes).toString());

test('[J1] a copy is the beginning of the log at every moment, and all of it soon after', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const net = new Net(six, seed);
    net.lossPercent = 25;
    const ids = Array.from({ length: 5 }, (_, i) => `stream${i}`);
    for (const id of ids) open(net, id);
    for (let i = 0; i < 120; i++) {
      append(net, ids[net.below(5)]!, `<${i}>`, net.below(4) === 0);
      net.pass(net.below(60));
      if (i === 60) net.restart([...net.zones.keys()][1 + net.below(5)]!);
      if (i === 80) net.kill([...net.zones.keys()][1 + net.below(5)]!);
      for (const id of ids) for (const copy of copiesOf(net, id)) ok(ours(net, id).startsWith(copy));
    }
    net.lossPercent = 0;
    net.pass(10_000);
    for (const id of ids) {
      const whole = copiesOf(net, id).filter((copy) => copy === ours(net, id));
      ok(whole.length >= 2, `seed ${seed}: ${whole.length} whole copies of ${id}`);
    }
  }
});

test('[J2] copies stand in other zones than the entry node, and in different ones', () => {
  for (let i = 0; i < 50; i++) {
    const net = new Net(six, i);
    open(net, `stream ${i}`);
    net.pass(100);
    deepEqual(new Set(net.held(`stream ${i}`).map((member) => net.zones.get(member))), new Set(['b', 'c']));
  }
});

test('[J2] a copy that is lost is made anew elsewhere, whole, and the count says how many there are', () => {
  const net = new Net(six.slice(0, 4), 7);
  open(net, 's');
  append(net, 's', 'one two');
  net.pass(100);
  const [lost] = net.held('s');
  net.kill(lost!);
  net.pass(100);
  equal(net.held('s').length, 2);
  for (const copy of copiesOf(net, 's')) equal(copy, 's:one two');
  for (const member of [...net.held('s')]) net.kill(member);
  net.pass(100);
  const counts = net.effects.flatMap(({ effect }) => (effect.type === 'copied' ? [effect.copies] : []));
  equal(Math.max(...counts), 2);
  equal(counts.at(-1), 0);
});

test('[J2] a log that is too much for a member goes elsewhere, and takes no other log with it', () => {
  const state = init({ session: 1, zone: 'a' });
  const candidates = ['b', 'c', 'd'].map((id) => ({ id: memberId(id), zone: id, isFit: true }));
  const posts: Extract<Effect, { type: 'post' }>[] = [];
  const large = new Uint8Array(2 * 1_024 ** 2);
  let now = 0;
  let copies = -1;
  const tell = (event: Event): void => {
    for (const effect of step(state, event, instant(now))[1])
      if (effect.type === 'post') posts.push(effect);
      else if (effect.type === 'copied' && effect.id === 'small') copies = effect.copies;
  };
  const pass = (ms: number): void => {
    for (const until = now + ms; now < until; now++) {
      for (const { member, batch, updates } of posts.splice(0)) {
        const isMuch = updates.some((one) => 'bytes' in one && one.bytes.length > 1_024 ** 2);
        tell(isMuch ? { type: 'failed', member, batch } : { type: 'answered', member, batch, verdicts: [] });
      }
      tell({ type: 'tick' });
    }
  };
  tell({ type: 'members', candidates });
  tell({ type: 'open', id: 'small', owner, fence, bytes: text('one'), urgent: true });
  pass(500);
  const before = holdersOf(state, 'small');
  equal(copies, 2);
  // The first goes at once; the second gathers behind it, and goes with the large one.
  for (const more of ['two', 'three']) tell({ type: 'append', id: 'small', bytes: text(more), urgent: true });
  tell({ type: 'open', id: 'large', owner, fence, bytes: large, urgent: true });
  pass(500);
  const small = [...state.kept.values()].find(({ id }) => id === 'small');
  deepEqual(
    small?.copies.map(({ acked }) => acked),
    [11, 11],
  );
  deepEqual(holdersOf(state, 'small'), before);
  equal(copies, 2);
  // Nobody takes it, and nobody is asked again.
  deepEqual(holdersOf(state, 'large'), []);
  tell({ type: 'open', id: 'huge', owner, fence, bytes: new Uint8Array(50 * 1_024 ** 2), urgent: true });
  deepEqual(holdersOf(state, 'huge'), []);
});

test('[J2] everybody looks for a stream in the same order, and who comes changes nothing among the others', () => {
  const members = six.map(([id, zone]) => ({ id: memberId(id), zone, isFit: true }));
  for (let i = 0; i < 50; i++) {
    const order = ranked(`s${i}`, members).map(({ id }) => id);
    deepEqual(
      ranked(`s${i}`, members.toReversed()).map(({ id }) => id),
      order,
    );
    const fewer = members.filter(({ id }) => id !== order[2]);
    deepEqual(
      ranked(`s${i}`, fewer).map(({ id }) => id),
      order.toSpliced(2, 1),
    );
    const place = nextPlace(`s${i}`, members, ['a']);
    equal(
      place?.id,
      order.find((id) => !id.startsWith('a')),
    );
  }
  equal(
    nextPlace(
      's',
      members.map((one) => ({ ...one, isFit: false })),
      ['a'],
    ),
    null,
  );
});

test('[J2] members that were all late once hold the copies all the same', () => {
  const state = init({ session: 1, zone: 'a' });
  const candidates = ['b', 'c'].map((id) => ({ id: memberId(id), zone: id, isFit: true }));
  const posts: Extract<Effect, { type: 'post' }>[] = [];
  let now = 0;
  const tell = (event: Event): void => {
    const [, effects] = step(state, event, instant(now));
    posts.push(...effects.filter((effect) => effect.type === 'post'));
  };
  tell({ type: 'members', candidates });
  tell({ type: 'open', id: 's', owner, fence, bytes: text('one'), urgent: true });
  const [late, again] = [new Set<MemberId>(), new Set<MemberId>()];
  for (; now < 1_000 && again.size < 2; now++) {
    for (const { member, batch, updates } of posts.splice(0)) {
      if (late.has(member)) {
        again.add(member);
        deepEqual([updates[0]?.type, 'bytes' in updates[0]! && updates[0].bytes], ['open', text('one')]);
        tell({ type: 'answered', member, batch, verdicts: [] });
      } else tell({ type: 'failed', member, batch });
      late.add(member);
    }
    equal([...state.kept.values()][0]?.copies.length, 2);
    equal(holdersOf(state, 's').length, 2 - late.size + again.size);
    tell({ type: 'tick' });
  }
  deepEqual(again, late);
});

test('[J4] of two entry nodes the one with the higher fence writes, and the other ends its stream', () => {
  const net = new Net(six, 11);
  const other = memberId('b1');
  open(net, 's');
  append(net, 's', 'one');
  net.pass(100);
  open(net, 's', other, 2);
  net.pass(100);
  append(net, 's', 'two');
  net.pass(2_000);
  deepEqual(
    net.effects.filter(({ effect }) => effect.type === 'fenced').map(({ at: node }) => node),
    [at],
  );
  equal(logOf(net.entries.get(at)!, 's'), null);
  const fresh = net
    .held('s')
    .filter((member) => net.holders.get(member)!.streams.get('s')?.fence.epoch === 2);
  equal(fresh.length, 2);
  for (const member of fresh)
    equal(Buffer.from(heldOf(net.holders.get(member)!, 's')!.bytes).toString(), ours(net, 's', other));
  // An old message that comes late changes nothing.
  const [holder] = fresh;
  const late = { type: 'open', number: 9, id: 's', owner, fence, bytes: text('late') } as const;
  const [answer] = net.hold(holder!, {
    type: 'batch',
    from: at,
    batch: { type: 'batch', session: 1, updates: [late] },
  });
  deepEqual(answer?.verdicts, [{ number: 9, why: 'fenced' }]);
});

test('[J4] who is fenced off is told so, and nothing else, by a batch that has the end of its log as well', () => {
  const net = new Net(six, 3);
  open(net, 's', memberId('c1'), 2);
  net.pass(100);
  const [member] = net.held('s');
  const [told] = net.hold(member!, {
    type: 'batch',
    from: at,
    batch: {
      type: 'batch',
      session: 1,
      updates: [
        { type: 'open', number: 1, id: 's', owner, fence, bytes: text('s:late') },
        { type: 'end', number: 1, lingerMs: 60_000 },
      ],
    },
  });
  deepEqual(told?.verdicts, [{ number: 1, why: 'fenced' }]);
});

test('[J4] a fence that is told first keeps the old entry node from writing', () => {
  const net = new Net(six, 12);
  open(net, 's');
  net.pass(100);
  const by = memberId('c1');
  for (const member of net.held('s')) net.hold(member, { type: 'fence', id: 's', fence: { epoch: 2, by } });
  append(net, 's', 'more');
  net.pass(100);
  deepEqual(net.effects.filter(({ effect }) => effect.type === 'fenced').length, 1);
  for (const copy of copiesOf(net, 's')) equal(copy, 's:');
});

test('[J5] an ended stream lingers, and then nothing is left of it anywhere', () => {
  const net = new Net(six, 13);
  net.lossPercent = 20;
  for (let i = 0; i < 20; i++) open(net, `s${i}`);
  net.pass(500);
  for (let i = 0; i < 20; i++) net.tell(at, { type: 'end', id: `s${i}`, lingerMs: i % 2 ? 60_000 : 0 });
  net.pass(20_000);
  ok(net.held('s1').length > 0, 'may still be asked for');
  ok(logOf(net.entries.get(at)!, 's1') !== null);
  net.lossPercent = 0;
  net.pass(silentMs + 60_000);
  for (const state of net.holders.values()) {
    deepEqual([state.streams.size, state.room.taken, state.keys.size, state.sessions.size], [0, 0, 0, 0]);
  }
  const { kept, numberById, lacking, ended } = net.entries.get(at)!;
  deepEqual([kept.size, numberById.size, lacking.size, ended.taken], [0, 0, 0, 0]);
});

test('[J5] a copy that is made of a stream that has ended lingers no longer than the others', () => {
  const net = new Net(six, 16);
  open(net, 's');
  net.pass(500);
  net.tell(at, { type: 'end', id: 's', lingerMs: 60_000 });
  net.pass(50_000);
  net.kill(net.held('s')[0]!);
  net.pass(1_000);
  equal(net.held('s').length, 2);
  net.pass(20_000);
  equal(net.held('s').length, 0);
});

test('[J5] a copy outlives a silent entry node by five minutes, and a quiet stream for as long as it runs', () => {
  const net = new Net(six, 14);
  open(net, 's');
  net.pass(3 * silentMs);
  equal(net.held('s').length, 2);
  net.kill(at);
  net.pass(silentMs - 70_000);
  equal(net.held('s').length, 2);
  net.pass(80_000);
  equal(net.held('s').length, 0);
});

test('[J5] a holder that is full turns newcomers away, and another member takes the copy', () => {
  const net = new Net(six.slice(0, 4), 15);
  const order = holdersAfterOpening(net);
  net.holders.set(order, { ...net.holders.get(order)!, room: newRoom(0) });
  open(net, 's');
  net.pass(200);
  ok(!net.held('s').includes(order));
  equal(net.held('s').length, 2);
});

test('[J5] a copy that grows at a holder that is full takes the room of one that has ended', () => {
  const net = new Net(six.slice(0, 3), 17);
  open(net, 'old');
  open(net, 's');
  net.pass(500);
  net.tell(at, { type: 'end', id: 'old', lingerMs: 60_000 });
  net.pass(500);
  const holders = net.held('s');
  for (const id of holders) {
    const state = net.holders.get(id)!;
    net.holders.set(id, { ...state, room: { ...state.room, max: state.room.taken } });
  }
  append(net, 's', 'more', true);
  net.pass(500);
  deepEqual(net.held('s'), holders);
  deepEqual(copiesOf(net, 's'), ['s:more', 's:more']);
  deepEqual(net.held('old'), []);
});

test('[J5] copies of a log that was too much for its entry node are freed', () => {
  const net = new Net(six, 19);
  const state = net.entries.get(at)!;
  net.entries.set(at, { ...state, room: newRoom(100_000) });
  open(net, 's');
  open(net, 'huge');
  net.pass(500);
  append(net, 'huge', 'x'.repeat(90_000), false);
  net.pass(500);
  equal(net.held('huge').length, 2);
  append(net, 's', 'x'.repeat(20_000), false);
  net.pass(500);
  deepEqual([net.held('s').length, net.held('huge').length], [2, 0]);
  deepEqual(
    net.effects.flatMap(({ effect }) => (effect.type === 'outgrown' ? [effect.id] : [])),
    ['huge'],
  );
  net.pass(10_000);
  equal(net.entries.get(at)!.kept.size, 1);
});

test('[J7] who had no room is asked again after a while, and later each time', () => {
  const net = new Net(six.slice(0, 2), 21);
  const [other] = [...net.holders.keys()].filter((id) => id !== at);
  const { room } = net.holders.get(other!)!;
  net.holders.set(other!, { ...net.holders.get(other!)!, room: newRoom(0) });
  open(net, 's');
  const asked = () => net.effects.filter(({ effect }) => effect.type === 'post').length;
  net.pass(14_000);
  equal(asked(), 1);
  net.pass(200_000);
  equal(asked(), 4);
  net.holders.set(other!, { ...net.holders.get(other!)!, room });
  net.pass(240_000);
  deepEqual(net.held('s'), [other]);
});

function holdersAfterOpening(net: Net): MemberId {
  open(net, 's');
  const [first] = holdersOf(net.entries.get(at)!, 's');
  net.tell(at, { type: 'end', id: 's', lingerMs: 0 });
  net.pass(2_000);
  return first!;
}

test('[J6] what a later version adds is passed over', () => {
  const update = { type: 'open', number: 3, id: 's', owner: 'k', fence, bytes: text('log') } as const;
  const known: Message = { type: 'batch', session: 5, updates: [update, { type: 'touch', number: 3 }] };
  const bytes = messageBytes(known).slice();
  deepEqual(readMessage(bytes), known);
  // A kind of update that is not known, and fields behind those that are.
  const later = new ByteWriter().raw(bytes).varint(99).text('something new');
  later.varint(3).sized(new ByteWriter().varint(8).varint(60_000).text('and more').bytes());
  deepEqual(readMessage(later.bytes()), {
    ...known,
    updates: [...known.updates, { type: 'end', number: 8, lingerMs: 60_000 }],
  });
  // And an earlier one, which names no key.
  const body = new ByteWriter().varint(4).text('s').varint(1).text(at).sized(text('log'));
  const earlier = new ByteWriter().varint(1).varint(1).varint(5).varint(1).sized(body.bytes());
  deepEqual(readMessage(earlier.bytes()), { ...known, updates: [{ ...update, number: 4, owner: '' }] });
  equal(readMessage(new ByteWriter().varint(2).varint(77).text('?').bytes()), null);
  const held = { bytes: text('log'), fence, ended: true };
  deepEqual(readHeld(new ByteWriter().raw(heldBytes(held)).text('later').bytes()), held);
  deepEqual(readVerdicts(new ByteWriter().varint(2).varint(4).varint(9).bytes()), [
    { number: 4, why: 'unknown' },
  ]);
  for (let end = 0; end < bytes.length; end++) readMessage(bytes.subarray(0, end));
});
