/** What happens to engines while the daemons beside them are well. */
import type { Dice } from '../dice.ts';
import type { Strike } from '../faults.ts';
import type { EngineFaultKind } from '../schedule.ts';
import type { World } from '../world.ts';
import { breakOffs, type SimEngine } from './engine.ts';

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
    hit.place.process.paused = true;
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
    hit.slowness = dice.between(slowness.least, slowness.most);
    return () => {
      hit.slowness = 1;
    };
  },
  'engine-break': (world, dice) => {
    victim(world, dice)?.breakOff(dice.pick(breakOffs));
    return null;
  },
};
