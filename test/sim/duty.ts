/**
 * One singleton duty, wanted by every node: whoever holds its lease commits a little every second. What is held against
 * it is what S3 really took, in the order in which it took it (I5): epochs of the lease rise, each has one holder,
 * and nothing is committed under a lower epoch than something before.
 */
import { rankOf } from '../../src/lease/rank.ts';
import type { ClusterPort } from '../../src/node/cluster-port.ts';
import { manifestKey } from '../../src/node/commit.ts';
import type { Fact } from '../../src/node/facts.ts';
import { Holding } from '../../src/node/holding.ts';
import type { Clock, LeaseStore } from '../../src/node/ports.ts';
import { Failure } from '../../src/std/failure.ts';
import type { MemberId } from '../../src/std/member-id.ts';
import type { Rng } from '../../src/std/random.ts';
import { after } from '../../src/std/time.ts';
import type { Applied } from './s3.ts';

const duty = 'scale';
const ttlMs = 12_000;
const workMs = 1_000;

export type DutyPorts = {
  readonly clock: Clock;
  readonly store: LeaseStore;
  readonly rng: Rng;
  readonly report: (fact: Fact) => void;
  /** Unlike that of any other process. */
  readonly run: string;
};

/** Takes part from now on. */
export function volunteer(cluster: ClusterPort, ports: DutyPorts): Holding {
  const { clock, run } = ports;
  const self = cluster.own().id;
  const alive = new Set<MemberId>([self]);
  for (const { id, health } of cluster.members()) if (health === 'alive') alive.add(id);
  const rank = (): number => rankOf(duty, self, [...alive]);
  const holding = new Holding({ duty, self, run, ttlMs, rank: rank() }, ports);
  cluster.changed.add((id) => {
    if (id === self) return;
    const before = alive.size;
    if (cluster.member(id)?.health === 'alive') alive.add(id);
    else alive.delete(id);
    // Most changes are of records, and say nothing of who comes first.
    if (alive.size !== before) holding.rank(rank());
  });
  const work = (): void => {
    if (holding.holds() !== null) void commit(holding, clock.now());
    clock.wakeAt(after(clock.now(), workMs), work);
  };
  work();
  return holding;
}

async function commit(holding: Holding, now: number): Promise<void> {
  try {
    await holding.commit(`at ${Math.round(now)}`, new AbortController().signal);
  } catch (error) {
    if (!(error instanceof Failure)) throw error; // S3 does not answer; the next second is as good.
  }
}

/** What was written to S3, held against what leases promise. */
export class DutyLedger {
  #epoch = 0;
  #holder = '';
  #committed = 0;
  readonly #onBroken: (what: string) => void;

  constructor(onBroken: (what: string) => void) {
    this.#onBroken = onBroken;
  }

  applied({ key, body }: Applied): void {
    const { epoch, holder } = JSON.parse(body) as { readonly epoch: number; readonly holder?: string };
    if (key === manifestKey(duty)) {
      if (epoch < this.#committed) this.#onBroken(`epoch ${epoch} committed after ${this.#committed}`);
      if (epoch > this.#epoch) this.#onBroken(`epoch ${epoch} committed, and nobody had it`);
      this.#committed = epoch;
      return;
    }
    if (epoch < this.#epoch) this.#onBroken(`the lease went from epoch ${this.#epoch} to ${epoch}`);
    if (epoch === this.#epoch && holder !== this.#holder)
      this.#onBroken(`epoch ${epoch} is ${this.#holder}'s and ${holder}'s`);
    this.#epoch = epoch;
    this.#holder = holder ?? '';
  }
}
