/**
 * What each kind of fault does to the world. `strike` begins it and returns what ends it; who is hit is drawn from the
 * fault's own seed among those that are there by then, so a schedule with parts left out still makes sense.
 */
import { Dice } from './dice.ts';
import { liarAt, slandererAt, strangerAt } from './hostile.ts';
import type { Resident } from './resident.ts';
import type { Fault, FaultKind } from './schedule.ts';
import { engineStrikes, entryStrikes } from './serving/faults.ts';
import type { Host } from './terrain.ts';
import type { World } from './world.ts';

export type Strike = (world: World, dice: Dice, fault: Fault) => (() => void) | null;

/** So many stay whatever happens: nobody learns from a cluster that is gone. */
const livingLeast = 3;
/** Below this much added delay, at both ends and both ways, a probe of 150 ms is still answered in time. */
const harmlessLagMs = 35;
const harmlessLoss = 0.05;
const backlogTiny = 4;
/** Of a clock that nobody looked at for long. */
const daysMs = 3 * 86_400_000;

export function schedule(world: World, faults: readonly Fault[]): void {
  for (const fault of faults) {
    world.at(fault.at, () => {
      const end = strikes[fault.kind](world, new Dice(fault.seed), fault);
      if (end !== null) world.at(fault.until, end);
    });
  }
}

const settled = (world: World): Resident[] =>
  world.living().filter((resident) => resident.joined && !resident.leaving);

/** null: too few are left to hit one. */
function victim(world: World, dice: Dice): Resident | null {
  const all = settled(world);
  return all.length > livingLeast ? dice.pick(all) : null;
}

const replace = (world: World, ip: string | null): void => void world.start(world.launch(ip));

/** Paths lie in shadow while they are troubled. */
function troubled(world: World, covers: (a: Host, b: Host) => boolean, mend: () => void): () => void {
  const lift = world.shadows.cast(covers);
  world.pathsChanged();
  return () => {
    mend();
    world.pathsChanged();
    lift(world.now);
  };
}

const all =
  (...lifts: readonly (() => void)[]): (() => void) =>
  () =>
    lifts.forEach((lift) => lift());

const some = (world: World, dice: Dice, share: number): Set<Host> =>
  new Set(settled(world).flatMap(({ host }) => (dice.hits(share) ? [host] : [])));

const strikes: Readonly<Record<FaultKind, Strike>> = {
  kill: (world, dice) => {
    const hit = victim(world, dice);
    if (hit === null) return null;
    world.kill(hit);
    return () => void (hit.host.on && !hit.host.gone && world.on(hit.host) === null && world.start(hit.host));
  },
  power: (world, dice) => {
    const hit = victim(world, dice);
    if (hit === null) return null;
    world.powerOff(hit.host);
    return () => world.powerOn(hit.host);
  },
  terminate: (world, dice) => {
    const hit = victim(world, dice);
    if (hit === null) return null;
    world.terminate(hit.host);
    return () => replace(world, dice.hits(0.5) ? hit.host.ip : null);
  },
  leave: (world, dice) => {
    const hit = victim(world, dice);
    if (hit === null) return null;
    world.leave(hit, 10_000);
    return () => {
      world.terminate(hit.host);
      replace(world, null);
    };
  },
  grow: (world) => {
    replace(world, null);
    return null;
  },
  pause: (world, dice) => {
    const hit = dice.pick(settled(world));
    world.pause(hit);
    return () => world.resume(hit);
  },
  cycle: (world, dice, fault) => {
    const hits = [...some(world, dice, 0.125)].flatMap((host) => world.on(host) ?? []);
    const stopMs = dice.pick([600, 2_000, 4_000, 12_000]);
    const runMs = dice.pick([100, 300]);
    for (const hit of hits) cycle(world, hit, { stopMs, runMs, until: fault.until });
    return null;
  },
  slow: (world, dice) => {
    const hit = dice.pick(settled(world));
    return world.overlaps.impose(hit.process, 'costMs', dice.between(1, 12));
  },
  partition: (world, dice) => {
    const side = 1 + dice.below(1_000_000);
    const hosts = some(world, dice, dice.between(0.1, 0.5));
    for (const host of hosts) host.side += side;
    return troubled(
      world,
      (a, b) => hosts.has(a) !== hosts.has(b),
      () => hosts.forEach((host) => (host.side -= side)),
    );
  },
  isolate: (world, dice) => {
    const { host } = dice.pick(settled(world));
    const side = 1_000_000 + dice.below(1_000_000);
    host.side += side;
    return troubled(
      world,
      (a) => a === host,
      // Sabotage: nobody mends it, and nobody says so.
      () => void (host.side -= world.sabotage === 'unmended' ? 0 : side),
    );
  },
  'one-way': (world, dice) => {
    const [a, b] = dice.shuffled(settled(world));
    if (a === undefined || b === undefined) return null;
    const mend = world.terrain.cut(a.host, b.host, world.now);
    return troubled(world, (from, to) => from === a.host && to === b.host, mend);
  },
  loss: (world, dice) => {
    const loss = 0.2 * dice.unit() ** 2;
    const lift = world.overlaps.impose(world.terrain, 'loss', loss);
    return troubled(world, () => loss > harmlessLoss, lift);
  },
  lag: (world, dice) => {
    const hosts = some(world, dice, dice.unit());
    const lagMs = 400 * dice.unit() ** 2;
    const lifts = [...hosts].map((host) => world.overlaps.impose(host, 'lagMs', lagMs));
    const covers = (a: Host): boolean => lagMs > harmlessLagMs && hosts.has(a);
    return troubled(world, covers, all(...lifts));
  },
  sever: (world, dice) => {
    const [a, b] = dice.shuffled(settled(world)).map((resident) => world.stationOf(resident));
    if (a && b) world.network.sever(a, b);
    return null;
  },
  backlog: (world, dice) => {
    const hit = dice.pick(settled(world));
    const { host } = hit;
    const widen = world.overlaps.impose(host, 'backlog', backlogTiny);
    world.pause(hit);
    return troubled(
      world,
      (a) => a === host,
      () => {
        widen();
        world.resume(hit);
      },
    );
  },
  zone: (world, dice) => {
    const zone = dice.pick(settled(world)).host.zone;
    const hit = settled(world).filter(({ host }) => host.zone === zone);
    if (settled(world).length - hit.length < livingLeast) return null;
    for (const { host } of hit) world.powerOff(host);
    const tellAgain = world.ec2.zonesOut.put(zone);
    return () => {
      tellAgain();
      for (const { host } of hit) world.powerOn(host);
    };
  },
  'gossip-lost': (world) => world.overlaps.impose(world.network.mesh, 'loss', 1),
  'black-hole': (world, dice) => {
    const [a, b] = dice.shuffled(settled(world));
    if (a === undefined || b === undefined) return null;
    return world.network.mesh.blackHoles.put(`${a.peerId} ${b.peerId}`);
  },
  echo: (world, dice) => world.overlaps.impose(world.network.mesh, 'echoes', dice.unit()),
  'wall-jump': (world, dice) => {
    const by = dice.pick([1_000, 30_000, 3_600_000, daysMs]);
    world.setWall(dice.pick(settled(world)), dice.hits(0.5) ? by : -by);
    return null;
  },
  revise: (world, dice) => {
    const hit = dice.pick(settled(world));
    const phase = dice.pick(['ready', 'starting', 'down'] as const);
    hit.process.receive(world.now, () => {
      hit.inside.revise({ phase, models: ['m'], contextTokens: dice.below(8_192) });
    });
    return null;
  },
  'ec2-out': (world) => world.overlaps.impose(world.ec2, 'out', true),
  'ec2-throttle': (world, dice) => world.overlaps.impose(world.ec2, 'rivalsPerSecond', dice.between(15, 60)),
  'ec2-stale': (world, dice) => world.overlaps.impose(world.ec2, 'staleMs', dice.between(1_000, 15_000)),
  'ec2-partial': ({ overlaps, ec2 }, dice) =>
    all(
      overlaps.impose(ec2, 'broken', dice.unit() / 2),
      overlaps.impose(ec2, 'partial', dice.unit() / 2),
      overlaps.impose(ec2, 'empty', dice.unit() / 4),
    ),
  's3-flaky': ({ overlaps, s3 }, dice) =>
    all(
      overlaps.impose(s3, 'slow', dice.unit() / 4),
      overlaps.impose(s3, 'unavailable', dice.unit() / 4),
      overlaps.impose(s3, 'lostAnswers', dice.unit() / 4),
    ),
  's3-out': (world) => world.overlaps.impose(world.s3, 'out', true),
  stranger: strangerAt,
  liar: liarAt,
  slander: slandererAt,
  notice: (world, dice, fault) => {
    const hit = victim(world, dice);
    if (hit === null) return null;
    const noticed = hit.inside.notice(fault.until - world.now);
    if (!noticed) return null;
    hit.leaving = true;
    return () => {
      world.terminate(hit.host);
      replace(world, null);
    };
  },
  disks: (world) => world.overlaps.impose(world, 'newDisks', true),
  ...engineStrikes,
  ...entryStrikes,
};

function cycle(
  world: World,
  hit: Resident,
  { stopMs, runMs, until }: { readonly stopMs: number; readonly runMs: number; readonly until: number },
): void {
  if (!hit.lives || world.now >= until) return;
  world.pause(hit);
  world.at(Math.min(until, world.now + stopMs), () => {
    world.resume(hit);
    world.at(world.now + runMs, () => cycle(world, hit, { stopMs, runMs, until }));
  });
}
