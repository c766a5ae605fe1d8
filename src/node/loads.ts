/**
 * Who is how busy, as far as they tell. Load goes on direct streams and on answers, never by gossip: it changes with
 * each request, and a gossip message costs every member milliseconds.
 */
import type { MemberId } from '../std/member-id.ts';
import type { Instant } from '../std/time.ts';
import type { HeardLoad } from './cluster-port.ts';
import type { Message } from './message.ts';
import type { MemberLoad } from './serving.ts';

export class Loads {
  readonly #heard = new Map<MemberId, HeardLoad>();
  #own: MemberLoad | null = null;

  /** False: it told none before either. */
  tell(load: MemberLoad | null): boolean {
    const muted = load === null && this.#own !== null;
    this.#own = load;
    return muted;
  }

  /** What a peer should hear of our engine; null: nothing, unless it heard of a load before. */
  message(): Message | null {
    return this.#own === null ? null : { type: 'load', ...this.#own };
  }

  heard(id: MemberId, { running, waiting, kvUsage }: MemberLoad, at: Instant): void {
    this.#heard.set(id, { running, waiting, kvUsage, at });
  }

  /** False: it told none before either. */
  forget(id: MemberId): boolean {
    return this.#heard.delete(id);
  }

  of(id: MemberId): HeardLoad | null {
    return this.#heard.get(id) ?? null;
  }
}
