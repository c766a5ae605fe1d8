import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { memberOf } from '../../src/membership/explanation.ts';
import { observersIn } from '../../src/membership/state.ts';
import type { MemberId } from '../../src/std/member-id.ts';
import { World } from './world.ts';

function settled(count: number, seed = 7): World {
  const world = new World(count, seed);
  const ms = world.until(30_000, () => world.allAlive());
  ok(ms < 30_000, `${count} nodes know one another after ${ms} ms`);
  world.run(2_000);
  deepEqual(world.wrongs, []);
  return world;
}

for (const count of [2, 3, 4, 10, 32, 60]) {
  test(`[M4] of ${count} members all know of a killed one within 100 ms`, () => {
    const world = settled(count);
    const victim = world.node(1);
    world.kill(victim);
    const ms = world.until(1_000, () => world.allHold(victim, 'dead'));
    ok(ms <= 100, `${ms} ms`);
    world.run(5_000);
    ok(world.allHold(victim, 'dead'));
  });

  test(`[M4] of ${count} members all know of a dark host within a second`, () => {
    const world = settled(count);
    const victim = world.node(1);
    victim.life = 'dark';
    const ms = world.until(3_000, () => world.allHold(victim, 'dead'));
    ok(ms <= 1_000, `${ms} ms`);
    deepEqual(world.wrongs, []);
  });

  test(`[M4] of ${count} members all know within two seconds of one whose address somebody else has`, () => {
    const world = settled(count);
    const victim = world.node(1);
    world.replace(victim);
    const ms = world.until(5_000, () => world.allHold(victim, 'dead'));
    ok(ms <= 2_000, `${ms} ms`);
    world.run(60_000);
    ok(world.allHold(victim, 'dead'));
  });

  test(`[M5] of ${count} members a stopped one is suspect for all, and dead for none`, () => {
    const world = settled(count);
    const victim = world.node(1);
    victim.life = 'stopped';
    const ms = world.until(2_000, () => world.allHold(victim, 'suspect'));
    ok(ms <= 1_000, `${ms} ms`);
    world.run(60_000);
    ok(world.allHold(victim, 'suspect'));
    victim.resume();
    ok(world.until(1_000, () => world.allAlive()) <= 1_000);
    deepEqual(world.wrongs, []);
  });
}

test('[M5] four of 32 stopped for 12 s and run for 0.3 s, over and over, are dead for nobody', () => {
  for (const [stopMs, runMs] of [
    [600, 100],
    [4_000, 300],
    [12_000, 300],
  ] as const) {
    const world = settled(32, stopMs);
    world.latePercent = 1;
    const cycled = [3, 9, 17, 30].map((number) => world.node(number));
    for (let ms = 0; ms < 60_000; ms += stopMs + runMs) {
      for (const node of cycled) node.life = 'stopped';
      world.run(stopMs);
      for (const node of cycled) node.resume();
      world.run(runMs);
    }
    ok(world.until(3_000, () => world.allAlive()) <= 3_000);
    deepEqual(world.wrongs, []);
  }
});

test('[M4] a kill and a dark host are told from stopped ones while four of 32 are stopped', () => {
  const world = settled(32);
  for (const number of [3, 9, 17, 30]) world.node(number).life = 'stopped';
  world.run(5_000);
  world.kill(world.node(5));
  ok(world.until(1_000, () => world.allHold(world.node(5), 'dead')) <= 100);
  world.node(6).life = 'dark';
  ok(world.until(3_000, () => world.allHold(world.node(6), 'dead')) <= 1_000);
  deepEqual(world.wrongs, []);
});

for (const [count, cut, ms] of [
  [16, 8, 30_000],
  [5, 3, 30_000],
  [3, 1, 10_000],
  [2, 1, 10_000],
  [60, 30, 30_000],
  [70, 66, 8_000],
  [55, 7, 8_000],
  [55, 1, 8_000],
  [16, 8, 900],
] as const) {
  test(`[M9] ${count} members, cut at ${cut} for ${ms} ms, have equal views 3 s after`, () => {
    const world = settled(count);
    const isLow = (id: string): boolean => Number(id.slice(2)) < cut;
    world.carries = (from, to) => isLow(from.id) === isLow(to.id);
    world.run(ms);
    const apart = world.node(0).healthOf(world.node(count - 1));
    if (ms > 1_000 && count <= 50) ok(apart === 'dead' || apart === 'suspect');
    const together = world.nodes.filter(({ id }) => isLow(id));
    for (const by of together) {
      for (const of of together) if (by !== of) equal(by.healthOf(of), 'alive');
    }
    world.heal();
    const healMs = world.until(20_000, () => world.allAlive());
    ok(healMs <= 3_000, `${healMs} ms`);
    world.run(10_000);
    ok(world.allAlive());
    deepEqual(world.wrongs, []);
  });
}

test('[M9] a member that restarts is alive for all once it is connected', () => {
  const world = settled(10);
  world.kill(world.node(4));
  ok(world.until(1_000, () => world.allHold(world.node(4), 'dead')) <= 100);
  world.run(20_000);
  world.start(world.node(4));
  ok(world.until(5_000, () => world.allAlive()) <= 3_000);
});

test('[M4] a third of 60 hosts go dark at once: all of them are dead for all others', () => {
  const world = settled(60);
  const zone = world.nodes.filter((_, number) => number % 3 === 0);
  for (const node of zone) node.life = 'dark';
  const ms = world.until(10_000, () => zone.every((node) => world.allHold(node, 'dead')));
  ok(ms <= 5_000, `${ms} ms`);
  deepEqual(world.wrongs, []);
});

test('[M7] one that lies about everybody kills nobody, and holds only its own subjects suspect, for half of the time and 40 s', () => {
  const world = settled(24);
  const liar = world.node(5);
  const observed = new Set(liar.state.subjects.map(({ id }) => id));
  const judge = world.node(11);
  const suspectMs = new Map<string, number>();
  let sequence = 5_000_000;
  for (let ms = 0; ms < 240_000; ms += 50) {
    for (const subject of world.nodes) {
      const evidence = (['refused', 'timeout', 'slow'] as const)[(ms / 50) % 3] ?? 'slow';
      const vote = {
        subject: subject.id,
        incarnation: 1,
        evidence,
        life: 1,
        sequence: ++sequence,
        at: world.agenda.now,
      };
      if (subject !== liar && ms % 500 === 0) world.forge(liar, vote);
      if (subject !== judge && judge.healthOf(subject) !== 'alive') {
        suspectMs.set(subject.id, (suspectMs.get(subject.id) ?? 0) + 50);
      }
    }
    world.run(50);
  }
  deepEqual(world.wrongs, []);
  for (const [id, ms] of suspectMs) ok(observed.has(id as never) && ms <= 165_500, `${id} ${ms}`);
  ok(suspectMs.size > 0);
});

test('[M7] votes of honest members, told again later by another, count for nothing', () => {
  const world = settled(24);
  const victim = world.node(3);
  world.kill(victim);
  world.run(200);
  const told = world.nodes.flatMap((by) => by.votes.map((vote) => ({ by, vote })));
  ok(told.length >= 2);
  world.start(victim);
  ok(world.until(5_000, () => world.allAlive()) <= 3_000);
  world.run(3_000);
  for (const { by, vote } of told) world.forge(by, vote);
  for (let ms = 0; ms < 1_000; ms += 10) {
    world.run(10);
    ok(world.allAlive());
  }
});

test('[M12] of the observers that find a process gone two say so, and the next ones where those cannot', () => {
  const world = settled(32);
  const victim = world.node(1);
  const observers = observersIn(world.node(5).state, memberOf(world.node(5).state, victim.id)!);
  const nodeOf = (id: MemberId) => world.nodes.find((node) => node.id === id)!;
  world.kill(victim);
  world.run(300);
  ok(world.allHold(victim, 'dead'));
  const tellers = world.nodes.filter(({ votes }) => votes.some(({ subject }) => subject === victim.id));
  deepEqual(new Set(tellers), new Set(observers.slice(0, 2).map(({ id }) => nodeOf(id))));
  world.start(victim);
  ok(world.until(5_000, () => world.allAlive()) < 5_000);
  world.run(3_000);
  for (const { id } of observers.slice(0, 2)) nodeOf(id).life = 'stopped';
  world.kill(victim);
  ok(world.until(1_000, () => world.allHold(victim, 'dead')) <= 200);
});

test('[M12] ten minutes of a lossy network and a stopped member is no storm of votes', () => {
  const world = settled(16);
  world.latePercent = 1;
  world.node(3).life = 'stopped';
  world.run(600_000);
  const votes = world.nodes.reduce((sum, node) => sum + node.votes.length, 0);
  ok(votes <= 16 * 10, `${votes} votes in ten minutes`);
  deepEqual(world.wrongs, []);
});
