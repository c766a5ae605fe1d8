/**
 * B6: a drain of 115 s and then up to 120 s of health checks after a notice of 120 s: nothing overlapped, so nothing
 * was ever handed over in time. Here the worst case, an engine that does not stop and streams that do not end, is over
 * before the instance is.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { wallTime } from '../../src/std/time.ts';
import { World } from '../node/world.ts';

for (const noticeMs of [120_000, 20_000, 4_000]) {
  test(`[B6] with a notice of ${noticeMs} ms peers know at once and the node is gone in time, whatever hangs`, async (t) => {
    const world = new World();
    const victim = await world.start('i-1', { engineStops: false });
    await world.start('i-2');
    await world.clock.run(5_000);
    t.after(() => world.stop());
    victim.node.serving.generating();
    victim.node.serving.entered();
    let cutAt = Infinity;
    let leftAt = Infinity;
    victim.node.serving.onRelayEnd((at) => (cutAt = at));
    void victim.node.leaving.left.then(() => (leftAt = world.clock.now()));

    const gone = world.clock.now() + noticeMs;
    victim.notice = {
      path: 'instance-action',
      action: 'terminate',
      time: wallTime(world.clock.wallNow() + noticeMs),
    };
    await world.clock.run(600);
    equal(victim.node.serving.admission().open, false);
    deepEqual(world.hosts.get('i-2')!.moves, ['i-1 drain']);
    ok(cutAt > gone - noticeMs / 3, 'what may still finish is not cut early');

    await world.clock.run(noticeMs);
    ok(cutAt < gone && leftAt <= gone, `cut at ${cutAt}, left at ${leftAt}, gone at ${gone}`);
    equal(victim.tags['SynktiState'], 'left');
  });
}
