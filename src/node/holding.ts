/**
 * One duty that one node of the cluster has at a time: the lease machine over S3 and the node's clocks.
 *
 *   const duty = new Holding({ duty: 'scale', self, run, ttlMs: 12_000, rank: rankOf('scale', self, members) }, ports);
 *   duty.changed.add((held) => (held === null ? stop() : start(held.epoch)));
 *   if (duty.holds() !== null) await duty.commit(JSON.stringify(decision), signal);
 *
 * Any number of processes may do the same for the same duty; most of the time one holds it, and commits of an epoch
 * that is not the highest are refused.
 *
 * The monotonic clock of Linux stands still while a machine is suspended or hibernated (clock_gettime(2)), the time of
 * day does not. When the two have moved apart since the last renewal was sent, whichever of them is wrong, the
 * renewal proves nothing.
 */
import { z } from 'zod';
import { deadline, holds, init, isAtRest } from '../lease/state.ts';
import { step, type LeaseEffect, type LeaseEvent } from '../lease/lease.ts';
import type { LeaseState } from '../lease/state.ts';
import type { Lease } from '../lease/terms.ts';
import { Failure } from '../std/failure.ts';
import { memberId, type MemberId } from '../std/member-id.ts';
import { draw, type Rng } from '../std/random.ts';
import type { Instant } from '../std/time.ts';
import { commit, type Commit } from './commit.ts';
import { drive, type Driven } from './drive.ts';
import type { Report } from './facts.ts';
import { listeners } from './listeners.ts';
import type { Clock, Document, LeaseStore } from './ports.ts';
import { within } from './within.ts';

type HoldingOptions = {
  /** Names the object `leases/<duty>`: letters, digits, `-`, `_` and `/`. */
  readonly duty: string;
  readonly self: MemberId;
  /** Of this process and no other, ever: a random UUID. */
  readonly run: string;
  readonly ttlMs: number;
  /** How many candidates come first (lease/rank.ts); null: not a candidate yet. */
  readonly rank: number | null;
};

type HoldingPorts = {
  readonly clock: Clock;
  readonly store: LeaseStore;
  readonly rng: Rng;
  readonly report: Report;
};

type Held = { readonly epoch: number } | null;
type Call = Extract<LeaseEffect, { readonly ask: number }>;

/** Steps of NTP are rare and usually below it; what a suspension adds is above, or covered by the margins. */
const slipShare = 0.05;
/** Nobody waits longer for a holder that is gone. */
const ttlMsMax = 600_000;

const shape = z.object({
  epoch: z.int().min(1),
  holder: z.string().min(1).max(128),
  nonce: z.string().min(1).max(128),
  ttlMs: z.number().positive().max(ttlMsMax),
  released: z.boolean(),
});

export class Holding {
  /** Told when it is taken, lapses, is lost or let go of; `holds()` is what counts. */
  readonly changed = listeners<[Held]>();
  readonly #options: HoldingOptions;
  readonly #ports: HoldingPorts;
  readonly #driven: Driven<LeaseState, LeaseEvent>;
  readonly #stopping = new AbortController();
  readonly #resting = listeners<[]>();
  /** Time of day less monotonic time, when the last renewal that counts was sent. */
  #offsetMs: number;
  #told: Held = null;
  #commits = 0;
  #rng: Rng;

  constructor(options: HoldingOptions, ports: HoldingPorts) {
    this.#options = options;
    this.#ports = ports;
    this.#offsetMs = this.#offsetNow();
    const [seed, rng] = draw(ports.rng, 2 ** 32);
    this.#rng = rng;
    this.#driven = drive(
      {
        step: (state: LeaseState, event: LeaseEvent, now) => this.#step(state, event, now),
        deadline,
        wake: { type: 'tick' },
      },
      init(options, { seed }, ports.clock.now()),
      ports.clock,
      (effect) => this.#perform(effect),
    );
    this.rank(options.rank);
  }

  /** To be asked before every effect and after every wait. */
  holds(): Held {
    if (this.#hasSlipped()) this.#deliver({ type: 'tick' });
    return holds(this.#driven.state(), this.#ports.clock.now());
  }

  /** When members come or go; null: no candidate any more. What is held stays held until `release`. */
  rank(rank: number | null): void {
    this.#deliver({ type: 'ranked', rank });
  }

  /** A peer, or something written, knows this epoch: what we hold below it is void. */
  outranked(epoch: number): void {
    this.#deliver({ type: 'outranked', epoch });
  }

  /** Replaces the duty's manifest, if no higher epoch has. Throws a Failure when nothing was written. */
  async commit(content: string, signal: AbortSignal): Promise<Commit> {
    const epoch = this.holds()?.epoch;
    if (epoch === undefined) return { type: 'not-held' };
    const { duty, run } = this.#options;
    this.#commits += 1;
    const [seed, rng] = draw(this.#rng, 2 ** 32);
    this.#rng = rng;
    const held = (): boolean => this.holds()?.epoch === epoch;
    const nonce = `${run}.${this.#commits}`;
    const effect = { duty, epoch, nonce, content, held };
    const outcome = await commit(effect, { ...this.#ports, rng: { seed } }, signal);
    if (outcome.type === 'refused')
      this.#ports.report({ fact: 'lease.refused', duty, epoch, by: outcome.by });
    if ('by' in outcome && outcome.by !== null) this.outranked(outcome.by);
    return outcome;
  }

  /**
   * Lets go, after the work has stopped: holds nothing from now on, and the next may have it as soon as S3 knows.
   * Failure `late` when S3 did not take it until `signal` aborted; then the lease ends by its ttl.
   */
  async release(signal: AbortSignal): Promise<void> {
    this.#deliver({ type: 'release' });
    if (isAtRest(this.#driven.state())) return;
    await new Promise<void>((resolve, reject) => {
      const late = (): void => reject(new Failure('late', `release ${this.#options.duty}: late: no answer`));
      const forget = this.#resting.add(() => {
        forget();
        signal.removeEventListener('abort', late);
        resolve();
      });
      signal.addEventListener('abort', late, { once: true });
      if (signal.aborted) late();
    });
  }

  /** Stops renewing without a word to S3; what is held ends by its ttl. */
  close(): void {
    this.#driven.stop();
    this.#stopping.abort(new Failure('late', 'the holding was closed'));
  }

  #deliver(event: LeaseEvent): void {
    this.#driven.deliver(event);
    this.#tell();
  }

  #step(state: LeaseState, event: LeaseEvent, now: Instant): readonly [LeaseState, readonly LeaseEffect[]] {
    if (!this.#hasSlipped()) return step(state, event, now);
    const offsetMs = this.#offsetNow();
    const slippedMs = Math.round(offsetMs - this.#offsetMs);
    this.#offsetMs = offsetMs;
    if (state.own !== null)
      this.#ports.report({ fact: 'lease.slipped', duty: this.#options.duty, slippedMs });
    const [distrusting, first] = step(state, { type: 'slipped' }, now);
    const [next, second] = step(distrusting, event, now);
    return [next, [...first, ...second]];
  }

  #perform(effect: LeaseEffect): void {
    if (effect.type === 'fact') {
      this.#ports.report({ ...effect.fact, duty: this.#options.duty });
      this.#tell();
      return;
    }
    void this.#call(effect);
  }

  async #call(call: Call): Promise<void> {
    const { clock } = this.#ports;
    const sentOffsetMs = this.#offsetNow();
    const event = await within({ clock, ms: call.withinMs, stopping: this.#stopping.signal }, (signal) =>
      ask(call, { store: this.#ports.store, key: `leases/${this.#options.duty}` }, signal),
    ).catch((error: unknown): LeaseEvent => {
      if (!(error instanceof Failure)) throw error;
      return { type: 'failed', ask: call.ask, kind: error.kind };
    });
    const waitedFor = this.#driven.state().call?.ask === call.ask;
    if (event.type === 'written' && waitedFor) this.#offsetMs = sentOffsetMs;
    this.#deliver(event);
  }

  #tell(): void {
    const state = this.#driven.state();
    if (isAtRest(state)) this.#resting.tell();
    const held = holds(state, this.#ports.clock.now());
    if (held?.epoch === this.#told?.epoch) return;
    this.#told = held;
    this.changed.tell(held);
  }

  #offsetNow(): number {
    return this.#ports.clock.wallNow() - this.#ports.clock.now();
  }

  #hasSlipped(): boolean {
    return Math.abs(this.#offsetNow() - this.#offsetMs) > this.#options.ttlMs * slipShare;
  }
}

async function ask(
  call: Call,
  { store, key }: { readonly store: LeaseStore; readonly key: string },
  signal: AbortSignal,
): Promise<LeaseEvent> {
  const { ask } = call;
  if (call.type === 'read') {
    const document = await store.read(key, signal);
    if (document === null) return { type: 'absent', ask };
    return { type: 'found', ask, lease: leaseFrom(document, key), etag: document.etag };
  }
  const body = JSON.stringify(call.lease);
  const written =
    call.etag === null
      ? await store.create(key, body, signal)
      : await store.replace(key, { body, etag: call.etag }, signal);
  return { ...written, ask };
}

/** What nobody of this version wrote is left alone, until a person has looked at it. */
function leaseFrom({ body }: Document, key: string): Lease {
  try {
    const lease = shape.parse(JSON.parse(body));
    return { ...lease, holder: memberId(lease.holder) };
  } catch (error) {
    throw new Failure('invalid', `lease ${key}: invalid: not what a holder writes`, error);
  }
}
