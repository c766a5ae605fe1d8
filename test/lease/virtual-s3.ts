/** S3 with conditional writes under virtual time: linear, with tags that follow from the bytes, and with bad days. */
import type { Document, LeaseStore, Written } from '../../src/node/ports.ts';
import { Failure } from '../../src/std/failure.ts';

/** What happens to one call. `ways` are ms to S3 and back; null: it never arrives. */
export type Weather = {
  readonly way: number | null;
  readonly back: number | null;
  /** `refused`: S3 says no and does nothing. `broken`: it says no and has done it. */
  readonly answer: 'right' | 'refused' | 'broken' | 'conflict';
};

export type Change = { readonly key: string; readonly body: string | null };

export class VirtualS3 {
  readonly objects = new Map<string, Document>();
  readonly #after: (ms: number, work: () => void) => void;
  readonly #changed: (change: Change) => void;

  constructor(after: (ms: number, work: () => void) => void, changed: (change: Change) => void) {
    this.#after = after;
    this.#changed = changed;
  }

  /** As one node sees it; `deliver` lets an answer in, when the node is able to hear it. */
  storeOf(weather: () => Weather, deliver: (work: () => void) => void): LeaseStore {
    const call = <T>(work: () => T, conflict: T | null, signal: AbortSignal): Promise<T> =>
      new Promise<T>((resolve, reject) => {
        const { way, back, answer } = weather();
        const late = (): void => reject(new Failure('late', 'late: no answer in time'));
        signal.addEventListener('abort', late, { once: true });
        if (way === null) return;
        this.#after(way, () => {
          const result = answer === 'right' || answer === 'broken' ? work() : null;
          if (back === null) return;
          this.#after(back, () =>
            deliver(() => {
              signal.removeEventListener('abort', late);
              if (answer === 'conflict' && conflict !== null) resolve(conflict);
              else if (result === null || answer !== 'right') reject(new Failure('busy', 'busy: SlowDown'));
              else resolve(result);
            }),
          );
        });
      });
    const conflict: Written = { type: 'conflict' };
    return {
      read: async (key, signal) =>
        (await call(() => ({ found: this.objects.get(key) ?? null }), null, signal)).found,
      create: (key, body, signal) => call(() => this.#write(key, body, null), conflict, signal),
      replace: (key, { body, etag }, signal) => call(() => this.#write(key, body, etag), conflict, signal),
    };
  }

  remove(key: string): void {
    if (this.objects.delete(key)) this.#changed({ key, body: null });
  }

  #write(key: string, body: string, over: string | null): Written {
    if ((this.objects.get(key)?.etag ?? null) !== over) return { type: 'unmet' };
    this.objects.set(key, { body, etag: `"${body}"` });
    this.#changed({ key, body });
    return { type: 'written', etag: `"${body}"` };
  }
}
