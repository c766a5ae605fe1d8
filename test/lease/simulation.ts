/**
 * Three to seven candidates for one duty, faults drawn from the seed, and what must hold after every event:
 * committed epochs never go back, an epoch has one holder, epochs only rise, and no two that run hold it at once.
 */
import { ok } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { rankOf } from '../../src/lease/rank.ts';
import { manifestKey } from '../../src/node/commit.ts';
import { Holding } from '../../src/node/holding.ts';
import { Failure } from '../../src/std/failure.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import { draw, type Rng } from '../../src/std/random.ts';
import { VirtualS3, type Change, type Weather } from './virtual-s3.ts';
import { Host, VirtualWorld } from './virtual-world.ts';

const duty = 'scale';
const ttlMs = 6_000;
const faultsMs = 60_000;
/** Up to ttl/3 until others have seen the last word, the takeover's wait on a slow clock, rank, and a few calls. */
const settleMs = ttlMs * (1 / 3 + 1.2) * 1.06 + 4_000;
/** Pauses that began in the bad time last as long, and its slowest calls less. */
const lingerMs = 2 * ttlMs;
const workEveryMs = 400;

type Candidate = {
  readonly id: MemberId;
  host: Host;
  holding: Holding;
  /** Which ways of S3 it is cut from. */
  cut: { readonly way: boolean; readonly back: boolean };
};

export type Outcome = {
  readonly digest: string;
  readonly commits: number;
  readonly epochs: number;
  readonly refused: number;
  readonly settledMs: number;
};

/** Throws when a promise is broken. `deletes`: somebody deletes the lease now and then. */
export async function simulate(seed: number, deletes: boolean): Promise<Outcome> {
  return new Simulation(seed, deletes).run();
}

class Simulation {
  readonly #world = new VirtualWorld();
  readonly #s3: VirtualS3;
  readonly #candidates: Candidate[] = [];
  readonly #digest = createHash('sha256');
  readonly #deletes: boolean;
  /** Which kinds of faults this seed has, and how often one call in a thousand goes wrong. */
  readonly #kinds: ReadonlySet<number>;
  readonly #badCalls: number;
  #rng: Rng;
  #faulty = true;
  #runs = 0;
  #commits = 0;
  #refused = 0;
  #epochs = new Map<number, string>();
  #leaseEpoch = 0;
  #committedEpoch = 0;

  constructor(seed: number, deletes: boolean) {
    this.#rng = { seed };
    this.#deletes = deletes;
    this.#s3 = new VirtualS3(
      (ms, work) => this.#world.after(ms, work),
      (change) => this.#onChange(change),
    );
    this.#kinds = new Set([0, 1, 2, 3, 4, 5].filter(() => this.#draw(3) > 0));
    this.#badCalls = [0, 30, 150, 400][this.#draw(4)]!;
    const ids = Array.from({ length: 3 + this.#draw(5) }, (_, at) => memberId(`i-${at}`));
    for (const id of ids) this.#candidates.push(this.#start(id, ids));
  }

  async run(): Promise<Outcome> {
    const check = (): void => this.#check();
    this.#world.after(this.#draw(5_000), () => this.#fault());
    for (const candidate of this.#candidates) this.#work(candidate);
    await this.#world.run(faultsMs, check);
    this.#faulty = false;
    for (const candidate of this.#candidates) {
      candidate.cut = { way: false, back: false };
      if (candidate.host.dead) this.#restart(candidate);
    }
    const latest = faultsMs + lingerMs + settleMs;
    while (this.#holder() === undefined) {
      ok(this.#world.now < latest, `nobody holds it ${latest - faultsMs} ms after the faults`);
      await this.#world.run(this.#world.now + 100, check);
    }
    const settledMs = this.#world.now - faultsMs;
    const before = this.#commits;
    await this.#world.run(this.#world.now + 3 * workEveryMs + 20_000, check);
    ok(this.#commits > before, 'the holder commits');
    for (const { holding } of this.#candidates) holding.close();
    const { size: epochs } = this.#epochs;
    const digest = this.#digest.digest('hex');
    return { digest, commits: this.#commits, epochs, refused: this.#refused, settledMs };
  }

  #start(id: MemberId, ids: readonly MemberId[]): Candidate {
    const wallMs = 1_790_000_000_000 + this.#draw(600_000) - 300_000;
    const host = new Host(this.#world, { rate: 0.95 + this.#draw(1_001) / 10_000, wallMs });
    const candidate = { id, host, cut: { way: false, back: false } } as Candidate;
    candidate.holding = this.#open(candidate, ids);
    return candidate;
  }

  #open(candidate: Candidate, ids: readonly MemberId[]): Holding {
    const { host, id } = candidate;
    this.#runs += 1;
    const store = this.#s3.storeOf(
      () => this.#weather(candidate),
      (work) => host.deliver(work),
    );
    return new Holding(
      { duty, self: id, run: `run-${this.#runs}`, ttlMs, rank: rankOf(duty, id, ids) },
      {
        clock: host.clock,
        store,
        rng: { seed: this.#draw(2 ** 32) },
        report: (fact) => this.#note(id, fact),
      },
    );
  }

  #restart(candidate: Candidate): void {
    candidate.holding.close();
    const ids = this.#candidates.map(({ id }) => id);
    const fresh = this.#start(candidate.id, ids);
    candidate.host = fresh.host;
    // The store that it was opened with follows `fresh`; the cut is on `candidate` from now on.
    candidate.holding.close();
    fresh.holding.close();
    candidate.holding = this.#open(candidate, ids);
    this.#work(candidate);
  }

  /** Does what it may, for as long as it lives: with a pause between asking and acting, now and then. */
  #work(candidate: Candidate): void {
    const { host, holding } = candidate;
    this.#world.after(workEveryMs / 2 + this.#draw(workEveryMs), () =>
      host.deliver(() => {
        // Of this process only: the next one on the machine has work of its own.
        this.#work({ ...candidate, host, holding });
        if (holding.holds() === null) return;
        if (this.#faulty && this.#draw(50) === 0) host.pause(this.#draw(2 * ttlMs), this.#draw(2) === 0);
        void holding.commit(`at ${this.#world.now}`, new AbortController().signal).then(
          ({ type }) => {
            if (type === 'refused') this.#refused += 1;
          },
          (error: unknown) => {
            if (!(error instanceof Failure)) throw error;
          },
        );
      }),
    );
  }

  #fault(): void {
    if (!this.#faulty) return;
    this.#world.after(500 + this.#draw(6_000), () => this.#fault());
    const kind = this.#draw(6);
    if (!this.#kinds.has(kind)) return;
    const anyone = this.#candidates[this.#draw(this.#candidates.length)]!;
    // Whoever holds it has most to lose.
    const candidate = this.#draw(2) === 0 ? (this.#holder() ?? anyone) : anyone;
    const { host, holding } = candidate;
    const lastMs = this.#draw(3 * ttlMs);
    if (kind === 0) host.pause(Math.min(lastMs, 10_000), false);
    else if (kind === 1) host.pause(Math.min(lastMs, 10_000), true);
    else if (kind === 2) host.jumpWall(this.#draw(20_000) - 10_000);
    else if (kind === 3) this.#partition(candidate, lastMs);
    else if (kind === 4) this.#crash(candidate, lastMs);
    else if (this.#draw(2) === 0 && !host.paused)
      holding.release(new AbortController().signal).then(
        () => host.deliver(() => holding.rank(0)),
        () => undefined,
      );
    else if (this.#deletes) this.#s3.remove(`leases/${duty}`);
  }

  #partition(candidate: Candidate, lastMs: number): void {
    const sides = this.#draw(3);
    candidate.cut = { way: sides !== 1, back: sides !== 0 };
    this.#world.after(lastMs, () => (candidate.cut = { way: false, back: false }));
  }

  #crash(candidate: Candidate, lastMs: number): void {
    if (candidate.host.dead) return;
    candidate.host.kill();
    candidate.holding.close();
    this.#world.after(lastMs, () => {
      if (candidate.host.dead) this.#restart(candidate);
    });
  }

  #weather({ cut }: Candidate): Weather {
    const way = 5 + this.#draw(25);
    const back = 5 + this.#draw(25);
    const usual: Weather = { way: cut.way ? null : way, back: cut.back ? null : back, answer: 'right' };
    if (!this.#faulty || this.#draw(1_000) >= this.#badCalls) return usual;
    const bad: readonly Partial<Weather>[] = [
      { way: null },
      { back: null },
      { way: this.#draw(8_000) },
      { back: this.#draw(2_000) },
      { answer: 'refused' },
      { answer: 'broken' },
      { answer: 'conflict' },
    ];
    return { ...usual, ...bad[this.#draw(bad.length)] };
  }

  #onChange({ key, body }: Change): void {
    this.#digest.update(`${this.#world.now} ${key} ${body}\n`);
    if (body === null) {
      this.#leaseEpoch = 0;
      return;
    }
    const { epoch, nonce } = JSON.parse(body) as { epoch: number; nonce: string };
    const run = nonce.split('.')[0]!;
    if (key === manifestKey(duty)) {
      ok(epoch >= this.#committedEpoch, `epoch ${epoch} commits after ${this.#committedEpoch}`);
      this.#committedEpoch = epoch;
      this.#commits += 1;
      return;
    }
    ok(epoch >= this.#leaseEpoch, `epoch ${epoch} follows ${this.#leaseEpoch}`);
    this.#leaseEpoch = epoch;
    // Whoever deletes a lease takes its epochs along; that the manifest is safe all the same is checked above.
    const holder = this.#epochs.get(epoch) ?? run;
    ok(this.#deletes || holder === run, `epoch ${epoch} belongs to ${holder} and to ${run}`);
    this.#epochs.set(epoch, run);
  }

  #check(): void {
    const holders = this.#candidates.filter((candidate) => isHolder(candidate)).map(({ id }) => id);
    ok(holders.length <= 1, `${holders.join(' and ')} hold it at once`);
  }

  #holder(): Candidate | undefined {
    return this.#candidates.find((candidate) => isHolder(candidate));
  }

  #note(id: MemberId, fact: object): void {
    this.#digest.update(`${this.#world.now} ${id} ${JSON.stringify(fact)}\n`);
  }

  #draw(bound: number): number {
    const [value, next] = draw(this.#rng, bound);
    this.#rng = next;
    return value;
  }
}

/** A paused process holds nothing, whatever it would say: it cannot ask. */
const isHolder = ({ host, holding }: Candidate): boolean =>
  !host.paused && !host.dead && holding.holds() !== null;
