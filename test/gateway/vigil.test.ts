/** Streams that are passed through and have begun, when nothing comes of them any more. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { Vigil } from '../../src/gateway/vigil.ts';
import type { Clock } from '../../src/node/ports.ts';
import { after } from '../../src/std/time.ts';
import { VirtualClock } from '../node/world.ts';
import { FakeCluster, until } from './fake-cluster.ts';
import { fastClock } from './fast-clock.ts';

/** One stream, its member and its client. */
function rig(lateMs = 0) {
  const clock = new VirtualClock();
  let isFirst = true;
  const wakeAt: Clock['wakeAt'] = (at, wake) => {
    const late = isFirst ? lateMs : 0;
    isFirst = false;
    return clock.wakeAt(after(at, late), wake);
  };
  const about = { isDoubted: true, isRead: true };
  let lostAt: number | null = null;
  const vigil = new Vigil({
    clock: { now: clock.now, wallNow: clock.wallNow, wakeAt },
    isDoubted: () => about.isDoubted,
    isRead: () => about.isRead,
    lost: () => (lostAt = clock.now()),
  });
  /** A piece each so often, for as long. */
  const flow = async (gapMs: number, forMs: number): Promise<void> => {
    for (let ms = 0; ms < forMs; ms += gapMs) {
      vigil.heard();
      await clock.run(gapMs);
    }
  };
  return { clock, about, vigil, flow, lostAt: () => lostAt };
}

test('[S12] of a member in doubt a stream has four seconds to go on, and longer where its rhythm is slower', async () => {
  for (const [gapMs, patienceMs] of [
    [50, 4_000],
    [900, 7_200],
    [20_000, 30_000],
  ] as const) {
    const { clock, vigil, flow, lostAt } = rig();
    await flow(gapMs, 20 * gapMs);
    const since = clock.now();
    vigil.doubt();
    await clock.run(1_000);
    // Membership has told it once more.
    vigil.doubt();
    await clock.run(patienceMs - 1_001);
    equal(lostAt(), null);
    await clock.run(1);
    equal(lostAt(), since + patienceMs);
  }
});

test('what goes on while its member is in doubt is left alone, and what fell silent before has all of its time', async () => {
  const { clock, vigil, flow, lostAt } = rig();
  await flow(50, 1_000);
  await clock.run(60_000);
  vigil.doubt();
  await flow(1_000, 20_000);
  equal(lostAt(), null);
  await clock.run(30_000);
  // After the longest patience there is, for it was silent for a minute before.
  equal(lostAt(), 80_000 + 30_000);
});

test('a member that is trusted again by then, or was never in doubt, may be silent', async () => {
  const { clock, about, vigil, flow, lostAt } = rig();
  await flow(50, 1_000);
  await clock.run(110_000);
  vigil.doubt();
  about.isDoubted = false;
  await clock.run(60_000);
  // In doubt once more: the time begins anew.
  about.isDoubted = true;
  vigil.doubt();
  await clock.run(3_999);
  equal(lostAt(), null);
  vigil.trust();
  await clock.run(60_000);
  equal(lostAt(), null);
});

test('how long its prompt took is no rhythm', async () => {
  const { clock, vigil, flow, lostAt } = rig();
  await flow(3_000, 3_000);
  vigil.heard();
  vigil.begun();
  await flow(50, 200);
  vigil.doubt();
  await clock.run(4_000);
  equal(lostAt(), clock.now());
});

test('what its client does not take is no silence', async () => {
  const { clock, about, vigil, flow, lostAt } = rig();
  await flow(50, 1_000);
  vigil.doubt();
  about.isRead = false;
  await clock.run(60_000);
  equal(lostAt(), null);
  about.isRead = true;
  vigil.resumed();
  await clock.run(4_000);
  equal(lostAt(), clock.now());
});

test('a timer that comes late judges nothing', async () => {
  const { clock, vigil, lostAt } = rig(600);
  vigil.heard();
  vigil.doubt();
  await clock.run(4_600 + 999);
  equal(lostAt(), null);
  await clock.run(1);
  equal(lostAt(), clock.now());
});

for (const [why, cause] of [
  ['suspect', 'silence'],
  ['dead', 'dead'],
] as const) {
  test(`[S12] a stream that has begun at a member that is ${why} ends in an error event`, async () => {
    const { clock, skip } = fastClock();
    await using cluster = await FakeCluster.of(3, { clock });
    const [entry, serving] = cluster.nodes;
    for (const { id } of cluster.nodes) entry!.heard.set(id, { running: id === 'n1' ? 0 : 50, waiting: 0 });
    Object.assign(serving!.engine, { pieces: 10_000, paceMs: 5 });
    const response = await fetch(`${entry!.url}/v1/responses`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'tiny', input: 'a', stream: true }),
    });
    equal(response.headers.get('x-synkti-served-by'), 'n1');
    const text = response.text();
    serving!.engine.mode = 'silent';
    serving!.standing = 'suspect';
    entry!.moves.tell(serving!.id, why);
    if (why === 'suspect') skip(4_000);
    match(await text, new RegExp(`^event: begun\n[^]*\n\nevent: error\ndata: .*broke off \\(${cause}\\)`));
    await until(() => entry!.sent.get(serving!.id) === 0, 'it was let go of');
    deepEqual([entry!.suspected, entry!.entered], [[], 0]);
  });
}
