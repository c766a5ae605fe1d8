/** How long it takes until all who can know of a death do, what EC2 is asked, and how long a cold start takes. */
import { spread, type Spread } from '../bench/membership/numbers.ts';
import type { Checks } from './checks.ts';
import type { Resident } from './resident.ts';
import type { World } from './world.ts';

export type Percentiles = Spread & {
  /** How many deaths they are of: the 99th percentile of fewer than a hundred is their greatest. */
  readonly count: number;
};

type Death = {
  readonly at: number;
  readonly kind: 'kill' | 'hostOff';
  readonly id: string;
  readonly unaware: Set<Resident>;
};

/** A death that somebody has not heard of by then is counted with this, ms. */
const lateMs = 30_000;

export class Timings {
  readonly #world: World;
  readonly #open = new Set<Death>();
  readonly #known: Record<Death['kind'], number[]> = { kill: [], hostOff: [] };
  #coldMs: number | null = null;
  #callsCold = 0;

  constructor(world: World, checks: Checks) {
    this.#world = world;
    checks.onDeath = (by, id) => this.#hear(by, id);
    world.onEnd = (resident, kind) => this.#begin(resident, kind);
  }

  /** Everybody knows everybody: from now on EC2's calls are those of every day. */
  started(): void {
    this.#coldMs ??= this.#world.now;
    this.#callsCold = this.#world.ec2.calls;
  }

  summary() {
    const { now, ec2 } = this.#world;
    for (const death of this.#open) this.#close(death, lateMs);
    const steadyMs = this.#coldMs === null ? now : now - this.#coldMs;
    return {
      kill: percentiles(this.#known.kill),
      hostOff: percentiles(this.#known.hostOff),
      ec2CallsPerSecond: round((ec2.calls - this.#callsCold) / Math.max(1, steadyMs / 1_000)),
      coldStartSeconds: this.#coldMs === null ? null : round(this.#coldMs / 1_000),
    };
  }

  #begin(dead: Resident, kind: Death['kind']): void {
    const { now } = this.#world;
    const unaware = this.#world
      .living()
      .filter((one) => one.joined && !one.process.paused && one.takesForAlive(dead.id));
    if (unaware.length > 0) this.#open.add({ at: now, kind, id: dead.id, unaware: new Set(unaware) });
  }

  #hear(by: Resident, id: string): void {
    for (const death of this.#open) {
      if (death.id !== id || !death.unaware.delete(by)) continue;
      for (const other of death.unaware)
        if (!other.lives || other.process.paused) death.unaware.delete(other);
      if (death.unaware.size === 0) this.#close(death, this.#world.now - death.at);
    }
  }

  #close(death: Death, ms: number): void {
    this.#open.delete(death);
    this.#known[death.kind].push(ms);
  }
}

function percentiles(values: readonly number[]): Percentiles | null {
  return values.length === 0 ? null : { ...spread(values.map(round)), count: values.length };
}

const round = (value: number): number => Math.round(value * 1_000) / 1_000;
