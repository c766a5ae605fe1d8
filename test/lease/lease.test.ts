import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { rankOf } from '../../src/lease/rank.ts';
import { deadline, isAtRest } from '../../src/lease/state.ts';
import { memberId } from '../../src/std/member-id.ts';
import { holder, leaseOf, margin, Play, ttlMs } from './play.ts';

const candidate = (rank = 0): Play => new Play().deliver({ type: 'ranked', rank });

test('[L1] a released lease is taken at once, over its ETag and with the next epoch', () => {
  const play = candidate().found(leaseOf({ released: true, epoch: 4 }), 'E0');
  const { lease, etag } = play.write();
  deepEqual([lease.epoch, lease.holder, lease.released, etag], [5, 'i-self', false, 'E0']);
  equal(play.holds(), null);
  equal(play.written('E1').holds(), 5);
});

test('[L1] who is not the first to write reads who was, and waits', () => {
  const play = candidate().found(leaseOf({ released: true }), 'E0');
  equal(play.refused('unmet').call?.type, 'read');
  play.found(leaseOf({ epoch: 5 }), 'E1');
  equal(play.until(play.now + ttlMs / 3 - 1), null);
  equal(play.holds(), null);
});

test('[L2] a holder renews every third of the ttl, with a new nonce and its epoch', () => {
  const play = holder();
  const nonces = new Set<string>();
  for (let round = 1; round <= 5; round += 1) {
    const { lease, etag } = play.write();
    equal(play.now, 1_010 + (round * ttlMs) / 3);
    deepEqual([lease.epoch, etag], [5, `E${round}`]);
    nonces.add(lease.nonce);
    play.written(`E${round + 1}`);
    equal(play.holds(), 5);
  }
  equal(nonces.size, 5);
});

test('[L3] without an answer the holder stops a fifth before its ttl, counted from when its word was sent', () => {
  const play = holder();
  while (play.now < 1_010 + 0.8 * ttlMs - 1) {
    equal(play.holds(), 5, `at ${play.now}`);
    if (play.until(Math.min(play.now + 100, 1_010 + 0.8 * ttlMs - 1)) !== null) play.failed('unreachable', 1);
  }
  play.now = 1_010 + 0.8 * ttlMs;
  equal(play.holds(), null);
  play.deliver({ type: 'tick' });
  ok(play.facts.includes('lease.lapsed'));
});

test('[L3] a worse stall makes a shorter hold', () => {
  const play = holder();
  play.until(1_500);
  play.now = deadline(play.state) + 800;
  play.deliver({ type: 'tick' });
  equal(play.state.worstStall.ms, 800);
  equal(play.holds(), 5);
  play.write();
  play.now += 1;
  play.written('E2', 0);
  const sent = play.state.own!.since;
  ok(deadline(play.state) <= sent + 0.8 * ttlMs - 800);
  play.state.told = null;
  play.now = sent + 0.8 * ttlMs - 800;
  equal(play.holds(), null);
});

test('[L4] a silent holder is followed a ttl and a fifth after its word was seen, on one more look', () => {
  const play = candidate().found(leaseOf({ epoch: 4 }), 'E0');
  const seen = play.now;
  while (play.next().type === 'read' && play.now < seen + margin * ttlMs)
    play.found(leaseOf({ epoch: 4 }), 'E0', 0);
  equal(play.now, seen + margin * ttlMs);
  equal(play.found(leaseOf({ epoch: 4 }), 'E0').write().lease.epoch, 5);
});

test('[L4] the longer ttl counts, and a word of the holder begins it anew', () => {
  const play = candidate().found(leaseOf({ ttlMs: 2 * ttlMs }), 'E0');
  const claimed = (end: number): boolean => {
    while (play.next().type === 'read') {
      if (play.now > end) return false;
      play.found(leaseOf({ ttlMs: 2 * ttlMs }), play.state.seen!.etag!);
    }
    return true;
  };
  equal(claimed(1_000 + 1.9 * margin * ttlMs), false);
  play.found(leaseOf({ ttlMs: 2 * ttlMs, nonce: 'other.2' }), 'E1');
  equal(claimed(play.now + 1.9 * margin * ttlMs), false);
});

test('[L5] a renewal whose answer was lost is recognised, and counts from when it was sent', () => {
  const play = holder();
  const { lease } = play.write();
  const sentAt = play.now;
  play.failed('late', 1_900);
  equal(play.next().type, 'read');
  play.found(lease, 'E2');
  equal(play.state.own?.since, sentAt);
  equal(play.holds(), 5);
  equal(play.write().etag, 'E2');
});

test('[L5] a claim whose answer was lost is held when it is read, and not before', () => {
  const play = candidate().found(leaseOf({ released: true }), 'E0');
  const { lease } = play.write();
  play.failed('late', 1_900);
  equal(play.holds(), null);
  equal(play.next().type, 'read');
  equal(play.found(lease, 'E1').holds(), 5);
});

test('[L5] a call that nobody answers counts as lost by itself', () => {
  const play = holder();
  play.write();
  play.call = null;
  equal(play.next().type, 'read');
});

test('[L6] a conflict is followed by a read, and then by another try', () => {
  const play = holder();
  play.write();
  play.refused('conflict');
  equal(play.next().type, 'read');
  equal(
    play.found(leaseOf({ nonce: 'run.2', epoch: 5, holder: memberId('i-self') }), 'E1').write().etag,
    'E1',
  );
});

test('[L6] SlowDown is answered by patience that grows, and ends with the first answer', () => {
  const play = candidate();
  const calls = Array.from({ length: 200 }, () => {
    play.failed('busy');
    play.next();
    return play.now;
  });
  const waits = calls.slice(1).map((at, index) => at - calls[index]!);
  ok(Math.max(...waits) <= ttlMs / 3 + 10);
  ok(waits.slice(20).reduce((sum, ms) => sum + ms, 0) / 179 > ttlMs / 12);
  ok(play.facts.length < 10, 'and by few words');
  play.found(leaseOf({}), 'E0');
  equal(play.state.failures, 0);
});

test('[L6] what a person must mend is not asked every second', () => {
  const play = candidate();
  for (let round = 0; round < 12; round += 1) play.failed('denied');
  ok(play.state.nextAt - play.now <= 60_000);
  const rounds = Array.from({ length: 50 }, () => {
    play.failed('denied');
    return play.state.nextAt - play.now;
  });
  ok(Math.max(...rounds) > ttlMs);
});

test('[L6] a store that refuses to replace what it shows is not asked in a loop', () => {
  const play = holder();
  const { lease } = play.write();
  play.refused('unmet').found({ ...lease, nonce: 'run.2' }, 'E1');
  equal(play.call, null);
  ok(play.state.nextAt > play.now);
});

test('[L7] what was made out of nothing is held only when a holder of what was deleted has stopped', () => {
  const play = candidate().absent();
  const { lease, etag } = play.write();
  deepEqual([lease.epoch, etag], [1, null]);
  play.written('E1');
  const made = play.now;
  for (let tag = 2; play.holds() === null; tag += 1) {
    if (play.until(made + margin * ttlMs) !== null) play.written(`E${tag}`);
    ok(play.now <= made + margin * ttlMs);
  }
  equal(play.now, made + margin * ttlMs);
  deepEqual(play.facts, ['lease.acquired']);
});

test('[L7] a deleted lease comes back above every epoch that was heard of', () => {
  const play = holder();
  play.write();
  equal(play.refused('unmet').absent().holds(), null);
  deepEqual([play.write().lease.epoch, play.write().etag], [6, null]);
});

test('[L8] after a late step nothing is held until a renewal that was sent afterwards is there', () => {
  const play = holder();
  play.now = deadline(play.state) + ttlMs / 10 + 1;
  equal(play.holds(), null, 'asked before the tick came');
  play.deliver({ type: 'tick' });
  equal(play.holds(), null);
  equal(play.call?.type, 'write');
  equal(play.written('E2').holds(), 5);
  deepEqual(play.facts, ['lease.acquired', 'lease.stalled', 'lease.lapsed', 'lease.regained']);
});

test('[L8] clocks that moved apart void a renewal that was under way', () => {
  const play = holder();
  play.write();
  play.now += 5;
  play.deliver({ type: 'slipped' });
  equal(play.holds(), null);
  play.now += 5;
  equal(play.written('E2').holds(), null);
  equal(play.written('E3').holds(), 5);
});

test('[L9] release ends the hold at once and leaves the epoch behind', () => {
  const play = holder();
  equal(play.deliver({ type: 'release' }).holds(), null);
  const { lease, etag } = play.write();
  deepEqual([lease.epoch, lease.released, etag], [5, true, 'E1']);
  equal(isAtRest(play.state), false);
  ok(isAtRest(play.written('E2').state));
  equal(deadline(play.state), Infinity);
  deepEqual(play.facts, ['lease.acquired', 'lease.released']);
});

test('[L9] a marker whose answer was lost is read, and written again if it is not there', () => {
  for (const arrived of [true, false]) {
    const play = holder().deliver({ type: 'release' });
    const { lease } = play.write();
    play.failed('late', 1_900).next();
    if (arrived) play.found(lease, 'E2');
    else play.found(leaseOf({ nonce: 'run.2', epoch: 5 }), 'E1').written('E2');
    ok(isAtRest(play.state), String(arrived));
  }
});

test('[L9] release waits for a claim under way and takes it back; a candidate without one just stops', () => {
  const play = candidate().found(leaseOf({ released: true }), 'E0');
  play.deliver({ type: 'release' }).written('E1');
  equal(play.write().lease.released, true);
  ok(isAtRest(play.written('E2').state));
  const idle = candidate().found(leaseOf({}), 'E0').deliver({ type: 'release' });
  ok(isAtRest(idle.state));
});

test('[L10] the second in rank waits a quarter of a second, looks again and finds the first at work', () => {
  const play = candidate(1).found(leaseOf({ released: true }), 'E0');
  const noticed = play.now;
  equal(play.next().type, 'read');
  equal(play.now, noticed + 250);
  play.found(leaseOf({ epoch: 5 }), 'E1');
  equal(play.until(play.now + ttlMs / 3 - 1), null);
});

test('[L10] the last of a thousand hardly ever looks, and who is no candidate never', () => {
  const play = candidate(999).found(leaseOf({}), 'E0');
  equal(play.until(play.now + (300 * ttlMs) / 3), null);
  equal(deadline(new Play().state), Infinity);
  const ids = Array.from({ length: 50 }, (_, at) => memberId(`i-${at}`));
  const ranks = ids.map((id) => rankOf('scale', id, ids));
  deepEqual(
    [...ranks].sort((a, b) => a - b),
    ids.map((_, at) => at),
  );
  ok(ids.some((id, at) => rankOf('sweep', id, ids) !== ranks[at]));
});

test('[L11] late and repeated answers change nothing', () => {
  const play = holder();
  const before = structuredClone(play.state);
  for (const ask of [0, 1, 2, 99]) {
    play.deliver({ type: 'written', ask, etag: 'X' });
    play.deliver({ type: 'found', ask, lease: leaseOf({ epoch: 9 }), etag: 'X' });
    play.deliver({ type: 'unmet', ask });
  }
  deepEqual({ ...play.state, steppedAt: 0 }, { ...before, steppedAt: 0 });
});

test('[L12] a higher epoch voids what is held, and the next word goes above it', () => {
  const play = holder().deliver({ type: 'outranked', epoch: 9 });
  equal(play.holds(), null);
  equal(play.write().lease.epoch, 10);
  equal(play.written('E2').holds(), 10);
  equal(play.deliver({ type: 'outranked', epoch: 10 }).holds(), 10, 'an equal one is our own');
});
