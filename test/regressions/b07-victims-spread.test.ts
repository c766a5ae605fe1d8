/**
 * B7. "Least loaded" without any load to compare sent every request of every lost node to the first member of the
 * list, two nodes under notice chose the same successor, and a successor could be under notice itself.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Wish } from '../../src/routing/choose.ts';
import * as routing from '../../src/routing/router.ts';
import type { MemberId } from '../../src/std/member-id.ts';
import { instant } from '../../src/std/time.ts';
import { World } from '../node/world.ts';

const wish: Wish = { avoid: [], urgent: true };
const names = ['i-1', 'i-2', 'i-3', 'i-4', 'i-5', 'i-6'];

async function sixNodes(): Promise<World> {
  const world = new World();
  for (const name of names) await world.start(name);
  await world.clock.run(5_000);
  return world;
}

/** What one entry node chooses for `count` generations in a row, each of which then runs there. */
function placeAll(world: World, entry: string, count: number): readonly MemberId[] {
  const { serving } = world.hosts.get(entry)!.node;
  const router = routing.init(serving.zone, { seed: names.indexOf(entry) + 1 });
  return Array.from({ length: count }, () => {
    const standing = serving.model('m');
    const choice = routing.place(router, { model: 'm', standing, wish, prompt: [] }, instant(0));
    if (choice.type === 'none') throw new Error(choice.why);
    serving.sent(choice.member);
    return choice.member;
  });
}

function counts(chosen: readonly MemberId[]): Record<string, number> {
  const result: Record<string, number> = {};
  for (const member of chosen) result[member] = (result[member] ?? 0) + 1;
  return result;
}

test('the streams of two nodes under notice spread over those that stay, and none goes to the other victim', async (t) => {
  const world = await sixNodes();
  t.after(() => world.stop());
  for (const victim of ['i-1', 'i-2']) {
    // Something still runs there, so they drain and are not gone yet.
    world.hosts.get(victim)!.node.serving.generating();
    world.hosts.get(victim)!.node.drain('interruption', 120_000);
  }
  await world.clock.run(100);
  const chosen = ['i-3', 'i-4', 'i-5', 'i-6'].flatMap((entry) => placeAll(world, entry, 15));
  const shares = counts(chosen);
  deepEqual(Object.keys(shares).toSorted(), ['i-3', 'i-4', 'i-5', 'i-6']);
  // Every entry node places its 15 without knowing of the others', and still nobody gets twice his share.
  ok(Math.max(...Object.values(shares)) < 30, JSON.stringify(shares));
});

test('each victim sends its own clients elsewhere too, and not to itself', async (t) => {
  const world = await sixNodes();
  t.after(() => world.stop());
  for (const victim of ['i-1', 'i-2']) {
    world.hosts.get(victim)!.node.serving.generating();
    world.hosts.get(victim)!.node.drain('interruption', 120_000);
  }
  await world.clock.run(100);
  for (const victim of ['i-1', 'i-2']) {
    const shares = counts(placeAll(world, victim, 16));
    equal(shares['i-1'] ?? shares['i-2'], undefined);
    equal(Object.keys(shares).length, 4);
  }
});

test('a member that has said nothing of its load is not the first choice', () => {
  const candidate = (name: string, running: number | null) => ({
    member: name as MemberId,
    load: running === null ? null : { running, waiting: 0 },
    ...{ unreported: 0, doubted: false, zone: 'a' },
  });
  const ready = [candidate('silent', null), candidate('busy', 30), candidate('idle', 2)];
  const router = routing.init('a', { seed: 1 });
  const standing = { ready, starting: 0 };
  const choice = routing.place(router, { model: 'm', standing, wish, prompt: [] }, instant(0));
  deepEqual(choice, { type: 'chosen', member: 'idle' });
});
