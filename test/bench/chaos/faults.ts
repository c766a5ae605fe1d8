/**
 * One fault after the other, at random members and moments, as fast as the cluster gets its capacity back: while
 * `awayMax` nodes are away the next one waits, else they overlap.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { unreachable } from '../../../src/std/assert.ts';
import type { DevNode } from '../../cluster/dev-cluster.ts';
import { isReady, statusOf, timeUntil } from '../../demo/observe.ts';
import type { Chance } from './chance.ts';
import { noticeMs, perFault, type FaultName, type Plan } from './plan.ts';
import type { Site } from './site.ts';

/** Of one notice, ms; null: it never came to that. */
export type Leave = { readonly admissionOffMs: number | null; readonly emptyMs: number | null };

/** The local cloud's own answer, ms; what it ordered may go on after that. */
const orderMs = 10_000;
/** How often to look whether there is a member to hit, ms. */
const lookMs = 100;
/** A cluster that has no capacity back by then never will, ms. */
const roomMs = 120_000;

type Season = {
  readonly fault: FaultName;
  readonly plan: Plan;
  readonly times: number;
  /** Streams so far. */
  readonly started: () => number;
};

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
    const victim = chance.of(await whenRoom(site, plan, away));
    const lastsMs = chance.between(plan.lastsMs.min, plan.lastsMs.max);
    away.add(victim.id);
    acts.push(act(site, { fault, victim, lastsMs }, leaves).finally(() => away.delete(victim.id)));
    if (fault === 'kill') await acts.at(-1);
  }
  await Promise.all(acts);
  return leaves;
}

async function whenRoom(site: Site, plan: Plan, away: ReadonlySet<string>): Promise<readonly DevNode[]> {
  const since = performance.now();
  for (;;) {
    const victims = (await site.victims()).filter(({ id }) => !away.has(id));
    if (victims.length > plan.nodes - plan.spared - plan.awayMax) return victims;
    if (performance.now() - since > roomMs) throw new Error(`no capacity came back within ${roomMs} ms`);
    await pause(lookMs);
  }
}

/** Resolves when it is over, as far as it ever is. */
async function act(
  { cluster }: Site,
  {
    fault,
    victim,
    lastsMs,
  }: { readonly fault: FaultName; readonly victim: DevNode; readonly lastsMs: number },
  leaves: Leave[],
): Promise<void> {
  const instance = victim.id;
  const signal = (): AbortSignal => AbortSignal.timeout(orderMs);
  switch (fault) {
    case 'kill':
      await cluster.cloud('kill', { instance }, signal());
      return;
    case 'freeze':
      await cluster.cloud('freeze', { instance }, signal());
      await pause(lastsMs);
      await cluster.cloud('thaw', { instance }, signal());
      return;
    case 'notice': {
      const since = performance.now();
      await cluster.cloud('interrupt', { instance, noticeMs }, signal());
      leaves.push(await leaveOf(victim, since));
      return;
    }
    default:
      return unreachable(fault);
  }
}

async function leaveOf(victim: DevNode, since: number): Promise<Leave> {
  const within = { since, withinMs: noticeMs };
  const [admissionOffMs, emptyMs] = await Promise.all([
    timeUntil(async () => !(await isReady(victim)), within),
    timeUntil(() => isEmpty(victim), within),
  ]);
  return { admissionOffMs, emptyMs };
}

/** An idle moment before the drain is none that counts. */
async function isEmpty(victim: DevNode): Promise<boolean> {
  try {
    const { life, streams } = await statusOf(victim);
    return (life.phase === 'draining' || life.phase === 'left') && streams.serving === 0;
  } catch {
    return true; // It is gone, and leaves only when it is empty or its time is up.
  }
}
