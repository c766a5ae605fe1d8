/** Plays the machine against answers that the test gives, on its own time. */
import { init, deadline, holds, type LeaseState } from '../../src/lease/state.ts';
import { step, type LeaseEffect, type LeaseEvent } from '../../src/lease/lease.ts';
import type { Lease } from '../../src/lease/terms.ts';
import type { FailureKind } from '../../src/std/failure.ts';
import { memberId } from '../../src/std/member-id.ts';
import { instant } from '../../src/std/time.ts';

export const ttlMs = 12_000;
export const margin = 1.2;

type Call = Exclude<LeaseEffect, { readonly type: 'fact' }>;

export const leaseOf = (part: Partial<Lease>): Lease => ({
  epoch: 4,
  holder: memberId('i-other'),
  nonce: 'other.1',
  ttlMs,
  released: false,
  ...part,
});

export class Play {
  now = 1_000;
  state: LeaseState = init({ self: memberId('i-self'), run: 'run', ttlMs }, { seed: 13 }, instant(1_000));
  call: Call | null = null;
  readonly facts: string[] = [];

  deliver(event: LeaseEvent): this {
    const [next, effects] = step(this.state, event, instant(this.now));
    this.state = next;
    for (const effect of effects) {
      if (effect.type === 'fact') this.facts.push(effect.fact.fact);
      else this.call = effect;
    }
    if (next.call === null) this.call = null;
    return this;
  }

  /** Ticks at every deadline until `at`; stops early at a call. Returns it. */
  until(at: number): Call | null {
    while (this.call === null && deadline(this.state) <= at) {
      this.now = Math.max(this.now, deadline(this.state));
      this.deliver({ type: 'tick' });
    }
    if (this.call === null) this.now = Math.max(this.now, at);
    return this.call;
  }

  /** The next call, whenever it comes. */
  next(): Call {
    const call = this.until(this.now + 100 * ttlMs);
    if (call === null) throw new Error('it calls nobody');
    return call;
  }

  /** Answers the call under way, `ms` after now. */
  found(lease: Lease, etag: string, ms = 10): this {
    return this.#answer({ type: 'found', ask: this.#ask(), lease, etag }, ms);
  }
  absent(ms = 10): this {
    return this.#answer({ type: 'absent', ask: this.#ask() }, ms);
  }
  written(etag: string, ms = 10): this {
    return this.#answer({ type: 'written', ask: this.#ask(), etag }, ms);
  }
  refused(type: 'unmet' | 'conflict', ms = 10): this {
    return this.#answer({ type, ask: this.#ask() }, ms);
  }
  failed(kind: FailureKind = 'busy', ms = 10): this {
    return this.#answer({ type: 'failed', ask: this.#ask(), kind }, ms);
  }

  write(): Extract<Call, { readonly type: 'write' }> {
    const call = this.next();
    if (call.type !== 'write') throw new Error('it reads');
    return call;
  }

  holds(): number | null {
    return holds(this.state, instant(this.now))?.epoch ?? null;
  }

  #ask(): number {
    return this.next().ask;
  }

  #answer(event: LeaseEvent, ms: number): this {
    const end = this.now + ms;
    for (let at = deadline(this.state); at < end; at = deadline(this.state)) {
      this.now = at;
      this.deliver({ type: 'tick' });
    }
    this.now = end;
    this.call = null;
    return this.deliver(event);
  }
}

/** The first in rank, which has just taken a released lease: epoch 5, sent at 1,010. */
export const holder = (): Play =>
  new Play()
    .deliver({ type: 'ranked', rank: 0 })
    .found(leaseOf({ released: true }), 'E0')
    .written('E1');
