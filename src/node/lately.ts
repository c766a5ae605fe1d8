/**
 * Models of members that have died or left a moment ago. While spot instances are being replaced there may be nobody who
 * serves a model, until the new ones have booted and say that they are starting: whoever asks meanwhile is to come back
 * in a moment, and is not told that there is no such model.
 */
import { putNewest } from '../std/bounded.ts';
import type { MemberId } from '../std/member-id.ts';
import { after, type Instant } from '../std/time.ts';
import { isHere, type Known } from './cluster-port.ts';

/** An instance that takes another one's place is asked for, booted and known of within one to three minutes. */
const latelyMs = 300_000;
const modelsMax = 1_000;

export class Lately {
  /** Of each member that is here. */
  readonly #models = new Map<MemberId, readonly string[]>();
  readonly #until = new Map<string, Instant>();

  /** To be called when a member's record or health has changed. `known`: null when it is known no more. */
  note(id: MemberId, known: Known | null, now: Instant): void {
    if (known !== null && isHere(known)) {
      const engine = known.record?.engine;
      this.#models.set(id, engine === undefined || engine.phase === 'none' ? [] : engine.models);
      return;
    }
    const until = after(now, latelyMs);
    for (const model of this.#models.get(id) ?? [])
      putNewest(this.#until, { key: model, value: until, max: modelsMax });
    this.#models.delete(id);
  }

  had(model: string, now: Instant): boolean {
    return now < (this.#until.get(model) ?? -Infinity);
  }
}
