/** What a holder takes from one that leaves, and what it keeps instead. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import * as holder from '../../src/journal/holder.ts';
import {
  messageBytes,
  readMessage,
  type HandedLog,
  type HeldLog,
  type Update,
  type Verdict,
} from '../../src/journal/wire.ts';
import { ByteWriter } from '../../src/std/bytes.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import { after, instant, type Instant } from '../../src/std/time.ts';
import { text } from './net.ts';

const [entry, leaver] = [memberId('entry'), memberId('leaver')];
const fence = { epoch: 2, by: entry };
/** How late it may be seen that its time is over, ms. */
const sweepMs = 5_000;
const handed: HandedLog = {
  ...{ id: 's', owner: 'key', fence, session: 7, ended: false, leftMs: 100_000, bytes: text('handed on') },
};

function rig(bytesMax = holder.copiesBytesMax) {
  const state = holder.init(bytesMax);
  let now: Instant = instant(1_000);
  const why = (event: holder.Event): Verdict['why'] | null =>
    holder.step(state, event, now)[1][0]?.verdicts[0]?.why ?? null;
  return {
    state,
    hand: (log: Partial<HandedLog> = {}, here: readonly MemberId[] = [entry]) =>
      why({ type: 'handed', from: leaver, logs: [{ ...handed, ...log }], here: new Set(here) }),
    write: (update: Update, session = 7) =>
      why({ type: 'batch', from: entry, batch: { type: 'batch', session, updates: [update] } }),
    fence: (epoch: number) => why({ type: 'fence', id: 's', fence: { epoch, by: memberId('other') } }),
    held: () => words(holder.heldOf(state, 's')),
    pass(ms: number) {
      const until = after(now, ms);
      for (; holder.deadline(state) <= until; holder.step(state, holder.wake, now))
        now = holder.deadline(state);
      now = until;
    },
  };
}

const words = (held: HeldLog | null): string | null => held && Buffer.from(held.bytes).toString();
const opened = (words: string, epoch = fence.epoch): Update => ({
  ...{ type: 'open', number: 1, id: 's', owner: 'key', fence: { epoch, by: entry }, bytes: text(words) },
});

test('[J8] what is handed on is held as it was, and no longer than it would have been', () => {
  for (const ended of [false, true]) {
    const { state, hand, held, pass } = rig();
    equal(hand({ ended }), null);
    deepEqual(holder.heldOf(state, 's'), { bytes: handed.bytes, fence, ended });
    const [again] = holder.handedOf(state, instant(1_000));
    deepEqual(again, { ...handed, ended });
    pass(handed.leftMs - 1);
    equal(held(), 'handed on');
    pass(sweepMs);
    equal(held(), null);
    deepEqual(holder.heldBy(state), { streams: 0, bytes: 0 });
  }
  const { hand, held, pass } = rig();
  equal(hand({ leftMs: 10 ** 9 }), null);
  pass(holder.silentMs + sweepMs);
  equal(held(), null);
});

test('[J8] nothing that is written here, is as long, or went on under a later fence gives way to it', () => {
  const written = rig();
  written.write(opened('short'));
  equal(written.hand(), 'fenced');
  equal(written.held(), 'short');
  equal(written.write({ type: 'grow', number: 1, offset: 5, bytes: text('er') }), null);
  equal(written.held(), 'shorter');
  equal(written.hand({ bytes: text('shorter') }), null);
  equal(written.hand({ bytes: text('short'), fence: { epoch: 1, by: entry } }), null);
  equal(written.held(), 'shorter');
  equal(written.write({ type: 'grow', number: 1, offset: 7, bytes: text('!') }), null);
});

test('[J8] what an entry node that is gone left short gives way, and is asked for whole if it is there after all', () => {
  const { write, hand, held } = rig();
  write(opened('short'));
  equal(hand({}, []), null);
  equal(held(), 'handed on');
  equal(write({ type: 'grow', number: 1, offset: 5, bytes: text('er') }), 'unknown');
  equal(write(opened('shorter, and longer')), null);
  equal(held(), 'shorter, and longer');
});

test('[J8] what went on under a later fence stays, though it is shorter, and nobody writes it', () => {
  const { hand, held } = rig();
  equal(hand({ bytes: text('later'), fence: { epoch: 3, by: entry } }), null);
  equal(hand(), null);
  equal(held(), 'later');
});

test('[J8] it takes the place of what is older, or shorter and written by nobody', () => {
  const older = rig();
  older.write(opened('of the entry node before', 1));
  equal(older.hand(), null);
  equal(older.held(), 'handed on');
  // Who was followed by another one hears so ([J4]).
  equal(older.write({ type: 'grow', number: 1, offset: 24, bytes: text('!') }), 'unknown');
  equal(older.write(opened('of the entry node before', 1)), 'fenced');
  const shorter = rig();
  shorter.hand({ bytes: text('hand') });
  equal(shorter.hand(), null);
  equal(shorter.held(), 'handed on');
  equal(holder.heldBy(shorter.state).bytes, handed.bytes.length);
});

test('[J8] who writes it, or takes it over, finds it as any other copy', () => {
  const { hand, write, held, fence: fenceOff, state } = rig();
  hand();
  equal(write(opened('from the entry node')), null);
  equal(held(), 'from the entry node');
  const over = rig();
  over.hand({ ended: true });
  // Complete, it gives way to a higher epoch only.
  equal(over.write({ ...opened('once more'), fence: { epoch: 2, by: memberId('z') } } as Update), 'fenced');
  over.fence(3);
  // Of who was followed nothing is complete that the next one writes, whoever that is.
  equal(over.write({ ...opened('goes on'), fence: { epoch: 3, by: memberId('z') } } as Update), null);
  equal(over.held(), 'goes on');
  fenceOff(3);
  equal(holder.handedOf(state, instant(1_000))[0]?.session, null);
});

test('[J8] where there is no room it is refused, and what is there stays', () => {
  const room = 2 * 12 * 1_024;
  const { hand, held } = rig(room);
  hand({ bytes: text('hand') });
  equal(hand({ bytes: new Uint8Array(room) }), 'full');
  equal(held(), 'hand');
});

test('[J8] [J6] a message of logs that are handed on is read as it was written, with what a later version adds', () => {
  const other: HandedLog = { ...handed, id: 't', owner: '', session: null, ended: true, leftMs: 0 };
  const message = { type: 'hand', logs: [handed, other] } as const;
  const bytes = messageBytes(message).slice();
  deepEqual(readMessage(bytes), message);
  for (let end = 0; end < bytes.length; end++) {
    const read = readMessage(bytes.subarray(0, end));
    if (read?.type === 'hand') deepEqual(read.logs, message.logs.slice(0, read.logs.length));
  }
  const have = { type: 'have', logs: [{ id: 's', fence, length: 70_000 }] } as const;
  deepEqual(readMessage(messageBytes(have).slice()), have);
  const session = { type: 'session', session: 1_764_000_000_000 } as const;
  const later = new ByteWriter().raw(messageBytes(session)).text('and more').bytes();
  deepEqual(readMessage(later), session);
});
