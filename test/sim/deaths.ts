/**
 * Deaths that somebody told of and has not taken back, and for how long each has stood without an excuse: the process
 * lives, and nothing is or was a moment ago between it and who holds it dead.
 */
import type { Resident, Verdict } from './resident.ts';

/** EC2 is asked every 30 s, and its answer names whom nobody else does; the longest that was seen is 25 s, ms. */
const heldMsMost = 40_000;

type Ports = {
  /** The newest; null: it never started. */
  readonly lifeOf: (id: string) => Resident | null;
  readonly isExcused: (judge: Resident, truth: Resident) => boolean;
  readonly onBroken: (what: string) => void;
};

export class Deaths {
  readonly #ports: Ports;
  /** Since when it is held without an excuse. */
  readonly #standing = new Map<Resident, Map<string, number>>();

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  judged(
    judge: Resident,
    id: string,
    { verdict, now }: { readonly verdict: Verdict; readonly now: number },
  ): void {
    if (verdict !== 'dead') return void this.#standing.get(judge)?.delete(id);
    const its = this.#standing.get(judge) ?? new Map<string, number>();
    this.#standing.set(judge, its.set(id, now));
  }

  look(now: number): void {
    for (const [judge, its] of this.#standing) {
      if (!judge.lives) this.#standing.delete(judge);
      else for (const [id, since] of its) this.#lookAt(judge, its, { id, since, now });
    }
  }

  #lookAt(
    judge: Resident,
    its: Map<string, number>,
    { id, since, now }: { readonly id: string; readonly since: number; readonly now: number },
  ): void {
    const truth = this.#ports.lifeOf(id);
    if (truth === null || this.#ports.isExcused(judge, truth)) return void its.set(id, now);
    const ms = Math.round(now - since);
    if (ms > heldMsMost) this.#ports.onBroken(`${judge.id} has held ${id} dead for ${ms} ms, which lives`);
  }
}
