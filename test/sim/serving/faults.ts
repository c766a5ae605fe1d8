/** What happens to engines while the daemons beside them are well, and to nodes because clients hang on them. */
import type { Dice } from '../dice.ts';
import type { Strike } from '../faults.ts';
import type { Resident } from '../resident.ts';
import type { EngineFaultKind, EntryFaultKind } from '../schedule.ts';
import type { World } from '../world.ts';
import { breakOffs, type SimEngine } from './engine.ts';
import { outsideIp } from './site.ts';

/** So many stay: nobody learns from a cluster that is gone. */
const livingLeast = 4;
const slowness = { least: 3, most: 15 };

/** One that serves; null: none does. Busy ones are hit more often: there is more to lose. */
function victim(world: World, dice: Dice): SimEngine | null {
  const all = world.living().flatMap(({ inside }) => (inside.engine?.isWell === true ? [inside.engine] : []));
  const busy = all.filter(({ load }) => load.running > 0);
  if (all.length === 0) return null;
  return dice.pick(busy.length > 0 && dice.hits(0.7) ? busy : all);
}

export const engineStrikes: Readonly<Record<EngineFaultKind, Strike>> = {
  'engine-kill': (world, dice) => {
    victim(world, dice)?.kill();
    return null;
  },
  'engine-stop': (world, dice) => {
    const hit = victim(world, dice);
    if (hit === null) return null;
    hit.place.process.pause();
    return () => hit.place.process.resume();
  },
  'engine-wedge': (world, dice) => {
    const hit = victim(world, dice);
    if (hit === null) return null;
    hit.wedge();
    return () => hit.unwedge();
  },
  'engine-slow': (world, dice) => {
    const hit = victim(world, dice);
    if (hit === null) return null;
    return world.overlaps.impose(hit, 'slowness', dice.between(slowness.least, slowness.most));
  },
  'engine-break': (world, dice) => {
    victim(world, dice)?.breakOff(dice.pick(breakOffs));
    return null;
  },
};

const settled = (world: World): Resident[] =>
  world.living().filter(({ joined, leaving, lives }) => joined && !leaving && lives);

/** One that clients hang on; null: none is, or too few are left. */
function entry(world: World, dice: Dice): Resident | null {
  const all = settled(world);
  const busy = all.filter(({ inside }) => inside.burden.clients > 0);
  return busy.length === 0 || all.length <= livingLeast ? null : dice.pick(busy);
}

function killed(world: World, hits: readonly Resident[]): () => void {
  for (const hit of hits) world.kill(hit);
  return () => {
    for (const { host } of hits) if (host.on && !host.gone && world.on(host) === null) world.start(host);
  };
}

export const entryStrikes: Readonly<Record<EntryFaultKind, Strike>> = {
  'entry-kill': (world, dice) => {
    const hit = entry(world, dice);
    return hit === null ? null : killed(world, [hit]);
  },
  'entry-stop': (world, dice) => {
    const hit = entry(world, dice);
    if (hit === null) return null;
    world.pause(hit);
    return () => world.resume(hit);
  },
  'entry-cut': (world, dice) => {
    const hit = entry(world, dice);
    const { terrain, shadows } = world;
    const outside = terrain.at(outsideIp);
    if (hit === null || outside === null) return null;
    const { host } = hit;
    const pairs = [
      [outside, host],
      [host, outside],
    ] as const;
    const mends = pairs.map(([from, to]) => terrain.cut(from, to, world.now));
    const lift = shadows.cast((a, b) => a === outside && b === host);
    world.pathsChanged();
    return () => {
      for (const mend of mends) mend();
      world.pathsChanged();
      lift(world.now);
    };
  },
  'pair-kill': (world, dice) => {
    const hit = entry(world, dice);
    if (hit === null) return null;
    const others = settled(world).filter((one) => one !== hit);
    const holders = others.filter(({ inside }) => inside.burden.logs > 0);
    return killed(world, [hit, dice.pick(holders.length > 0 ? holders : others)]);
  },
};
