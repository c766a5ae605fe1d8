/**
 * One fault after the other, at random members and moments, as fast as the cluster gets its capacity back: while
 * `awayMax` nodes are away the next one waits, else they overlap.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { unreachable } from '../../../src/std/assert.ts';
import { isReady, statusOf, timeUntil } from '../../demo/observe.ts';
import type { Chance } from './chance.ts';
import { perFault, type FaultName, type Plan } from './plan.ts';
import type { Member, Site } from './site.ts';

/** Of one notice, ms; null: it never came to that. */
export type Leave = { readonly admissionOffMs: number | null; readonly emptyMs: number | null };

type Season = {
  readonly fault: FaultName;
  readonly plan: Plan;
  readonly times: number;
  /** Streams so far. */
  readonly started: () => number;
};

/** How often to look whether there is a member to hit, ms. */
const lookMs = 100;
/** For a node to have gone after a notice, ms; what takes longer never happened. */
const leaveMsMax = 20_000;
/** A cluster that has no capacity back after so many looks never will. Whoever is stopped meanwhile does not look. */
const looksMax = 1_200;

/** Resolves when all have happened, and been taken back where they are. */
export async function strike(
  site: Site,
  { fault, plan, times, started }: Season,
  chance: Chance,
): Promise<readonly Leave[]> {
  const leaves: Leave[] = [];
  const away = new Set<string>();
  const acts: Promise<void>[] = [];
  for (let count = 0; count < times; count++) {
    await pause(chance.exponential(plan.pauseMs));
    while (started() < perFault.started * (count + 1)) await pause(lookMs);
    const there = [...(await whenRoom(site, plan, away))];
    const victims = Array.from({ length: plan.victims }, () => chance.take(there));
    const lastsMs = chance.between(plan.lastsMs.min, plan.lastsMs.max);
    for (const victim of victims) {
      away.add(victim.id);
      const done = act(site, { fault, victim, lastsMs }, leaves).then((isBack) => {
        if (isBack) away.delete(victim.id);
      });
      done.catch(() => {}); // Heard of at the end.
      acts.push(done);
    }
  }
  await Promise.all(acts);
  return leaves;
}

async function whenRoom(site: Site, plan: Plan, away: ReadonlySet<string>): Promise<readonly Member[]> {
  for (let looks = 0; looks < looksMax; looks++) {
    const victims = (await site.victims()).filter(({ id }) => !away.has(id));
    const room = plan.awayMax - (plan.nodes - plan.spared - victims.length);
    if (room >= plan.victims) return victims;
    await pause(lookMs);
  }
  throw new Error(`no capacity came back, looked for ${looksMax} times`);
}

/** Resolves when it is over; true: its victim goes on, false: another one comes in its place. */
async function act(
  site: Site,
  {
    fault,
    victim,
    lastsMs,
  }: { readonly fault: FaultName; readonly victim: Member; readonly lastsMs: number },
  leaves: Leave[],
): Promise<boolean> {
  switch (fault) {
    case 'kill':
    case 'entry':
    case 'pair':
      await site.order('kill', victim);
      return false;
    case 'freeze':
      await site.order('freeze', victim);
      await pause(lastsMs);
      await site.order('thaw', victim);
      return true;
    case 'drop':
      await site.order('off', victim);
      await pause(lastsMs);
      await site.order('on', victim);
      return true;
    case 'notice': {
      const since = performance.now();
      await site.order('interrupt', victim);
      leaves.push(await leaveOf(site, victim, since));
      return false;
    }
    default:
      return unreachable(fault);
  }
}

async function leaveOf(site: Site, victim: Member, since: number): Promise<Leave> {
  const within = { since, withinMs: leaveMsMax };
  const saidSo = (): boolean => (site.emptiedAt(victim) ?? -Infinity) >= since;
  const [admissionOffMs, emptyMs] = await Promise.all([
    timeUntil(async () => !(await isReady(victim)), within),
    timeUntil(() => isEmpty(victim, saidSo), within),
  ]);
  return { admissionOffMs, emptyMs };
}

/**
 * An idle moment before the drain is none that counts, and neither is an answer that does not come. Who has gone was
 * empty if it said so: the cloud ends it when its time is up, whatever it still computes.
 */
export async function isEmpty(victim: Pick<Member, 'control'>, saidSo: () => boolean): Promise<boolean> {
  try {
    const { life, streams } = await statusOf(victim);
    return (life.phase === 'draining' || life.phase === 'left') && streams.serving === 0;
  } catch (error) {
    return isGone(error) && saidSo();
  }
}

/** Nobody listens on its socket, or the socket is gone with it. */
function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ECONNREFUSED' || code === 'ENOENT';
}
