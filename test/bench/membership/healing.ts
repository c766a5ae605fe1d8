/**
 * A network that was cut in two and joined again. A figure of its healing means something only where the cut bit, and
 * where afterwards every view of every node is whole and stays so: one node that never comes back is no healing at all.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Lab } from '../../lab/lab.ts';
import type { Witness } from '../../lab/witness.ts';

type Node = { readonly index: number; readonly id: string };

/** Who still holds whom of the other half alive, in words; none where the cut bit. */
export function seenAcross(
  witness: Pick<Witness, 'holdsAlive'>,
  [west, east]: readonly [readonly Node[], readonly Node[]],
): readonly string[] {
  const across = (from: readonly Node[], to: readonly Node[]): readonly string[] =>
    from.flatMap(({ index }) =>
      to
        .filter(({ id }) => witness.holdsAlive(index, id))
        .map((other) => `${index} holds ${other.index} alive`),
    );
  return [...across(west, east), ...across(east, west)];
}

/**
 * From `since`, epoch ms, to the last change before all hold all alive and no view changes for `quietMs`. Rejects, in
 * words, when it does not come to that; `isWhole`: what the nodes say when they are asked then.
 */
export async function healedMs(
  { settled, witness }: Pick<Lab, 'settled'> & { readonly witness: Pick<Witness, 'changedAt'> },
  since: number,
  ask: { readonly withinMs: number; readonly quietMs: number; readonly isWhole: () => Promise<boolean> },
): Promise<number> {
  const until = performance.now() + ask.withinMs;
  for (;;) {
    await settled(Math.max(0, until - performance.now()));
    const { changedAt } = witness;
    await pause(ask.quietMs);
    if (witness.changedAt === changedAt) break;
    if (performance.now() > until) throw new Error(`views still change after ${ask.withinMs} ms`);
  }
  if (!(await ask.isWhole())) throw new Error('a view, when asked for, is not whole');
  return Math.max(0, witness.changedAt - since);
}
