/** The journals of a few nodes under virtual time, by the production codec, over a network that is quick unless told. */
import { copiesBytesMax } from '../../src/journal/holder.ts';
import { openJournals, type Journals, type LogEars } from '../../src/node/journals.ts';
import { after } from '../../src/std/time.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import { VirtualClock } from './world.ts';

/** One way between two members, ms. */
const wayMs = 1;

export class Logs {
  readonly clock = new VirtualClock();
  readonly nodes = new Map<MemberId, Journals>();
  /** They hear nothing and say nothing, and membership has not noticed. */
  readonly silent = new Set<MemberId>();
  /** Membership knows that they are gone. */
  readonly dead = new Set<MemberId>();
  /** How many messages were sent. */
  asks = 0;
  readonly #listeners = new Set<() => void>();

  constructor(zones: Readonly<Record<string, string>>) {
    const all = Object.entries(zones).map(([id, zone]) => ({ id: memberId(id), zone }));
    for (const { id, zone } of all) {
      const others = all.filter((one) => one.id !== id);
      const journals = openJournals({
        ...{ self: id, zone, clock: this.clock, session: 1, copiesBytesMax },
        ask: (member, message, withinMs, tell) => this.#ask(id, { member, message, withinMs }, tell),
        candidates: () =>
          others.filter((one) => !this.dead.has(one.id)).map((one) => ({ ...one, isFit: true })),
        onChanged: (listener) => {
          this.#listeners.add(listener);
          return () => void this.#listeners.delete(listener);
        },
      });
      this.nodes.set(id, journals);
    }
  }

  at(id: string): Journals {
    return this.nodes.get(memberId(id))!;
  }

  kill(id: string): void {
    this.dead.add(memberId(id));
    for (const listener of this.#listeners) listener();
  }

  close(): void {
    for (const journals of this.nodes.values()) journals.close();
  }

  #ask(
    from: MemberId,
    what: { readonly member: MemberId; readonly message: Uint8Array; readonly withinMs: number },
    tell: (answer: Uint8Array | null) => void,
  ): void {
    const { member, message, withinMs } = what;
    const { clock } = this;
    this.asks += 1;
    const isLost = (): boolean => [from, member].some((one) => this.silent.has(one) || this.dead.has(one));
    const later = (ms: number, act: () => void): void => void clock.wakeAt(after(clock.now(), ms), act);
    if (isLost()) return later(withinMs, () => tell(null));
    // As a network does: what was a view here may change, what was sent does not.
    const sent = message.slice();
    later(wayMs, () => {
      const answer = isLost() ? null : (this.nodes.get(member)?.answer(from, sent)?.slice() ?? null);
      later(wayMs, () => tell(answer));
    });
  }
}

export const deaf: LogEars = { copied: () => {}, fenced: () => {}, outgrown: () => {} };
