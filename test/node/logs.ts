/** The journals of a few nodes under virtual time, by the production codec, over a network that is quick unless told. */
import { copiesBytesMax } from '../../src/journal/holder.ts';
import type { Candidate } from '../../src/journal/rendezvous.ts';
import type { Fact } from '../../src/node/facts.ts';
import { openJournals, type Journals, type LogEars } from '../../src/node/journals.ts';
import { after } from '../../src/std/time.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import { VirtualClock } from './world.ts';

export class Logs {
  readonly clock = new VirtualClock();
  readonly nodes = new Map<MemberId, Journals>();
  /** They hear nothing and say nothing, and membership has not noticed. */
  readonly silent = new Set<MemberId>();
  /** Membership knows that they are gone. */
  readonly dead = new Set<MemberId>();
  /** It has its doubts about them. */
  readonly suspect = new Set<MemberId>();
  /** It knows that they are about to go. */
  readonly leaving = new Set<MemberId>();
  /** One way between two members, ms. */
  wayMs = 1;
  readonly facts: Fact[] = [];
  /** How many messages were sent. */
  asks = 0;
  /** And of how many bytes. */
  asked = 0;
  readonly #listeners = new Set<(gone: MemberId | null) => void>();

  readonly #blind = new Set<string>();
  readonly #zones: { readonly id: MemberId; readonly zone: string }[];

  constructor(zones: Readonly<Record<string, string>>) {
    this.#zones = Object.entries(zones).map(([id, zone]) => ({ id: memberId(id), zone }));
    for (const one of this.#zones) this.#start(one, 1);
  }

  at(id: string): Journals {
    return this.nodes.get(memberId(id))!;
  }

  kill(id: string): void {
    this.dead.add(memberId(id));
    for (const listener of this.#listeners) listener(memberId(id));
  }

  /** It holds the other one dead, and nobody else does. */
  loseSight(by: string, id: string): void {
    this.#blind.add(`${by} ${id}`);
    for (const listener of this.#listeners) listener(memberId(id));
  }

  join(id: string, zone: string): void {
    const one = { id: memberId(id), zone };
    this.#zones.push(one);
    this.#start(one, 1);
    for (const listener of this.#listeners) listener(null);
  }

  leave(id: string): void {
    this.leaving.add(memberId(id));
    for (const listener of this.#listeners) listener(null);
  }

  /** It is back, and its memory is empty. */
  restart(id: string): void {
    this.at(id).close();
    this.dead.delete(memberId(id));
    this.#start(
      this.#zones.find((one) => one.id === memberId(id))!,
      2,
    );
  }

  /** So quickly that nobody held it dead meanwhile. */
  startAgain(id: string): void {
    this.restart(id);
    for (const listener of this.#listeners) listener(memberId(id));
  }

  /** Who has a copy of it, of those that are not dead. */
  holders(id: string): readonly string[] {
    return [...this.nodes].flatMap(([at, node]) =>
      node.copyOf(id) !== null && !this.dead.has(at) ? [at] : [],
    );
  }

  /** What a node comes upon of `key` that looks for it; null: nothing. */
  async found(by: string): Promise<string | null> {
    let words: string | null = null;
    const tell = (held: { readonly bytes: Uint8Array } | null): void =>
      void (words = held && Buffer.from(held.bytes).toString());
    this.at(by).find('key', () => true, tell);
    await this.clock.run(3_000);
    return words;
  }

  close(): void {
    for (const journals of this.nodes.values()) journals.close();
  }

  #start({ id, zone }: { readonly id: MemberId; readonly zone: string }, session: number): void {
    const present = (): readonly Candidate[] =>
      this.#zones
        .filter((one) => one.id !== id && !this.dead.has(one.id) && !this.#blind.has(`${id} ${one.id}`))
        .map((one) => ({ ...one, isFit: !this.suspect.has(one.id) }));
    const journals = openJournals({
      ...{ self: id, zone, clock: this.clock, session, copiesBytesMax, present },
      ask: (member, message, withinMs, tell) => this.#ask(id, { member, message, withinMs }, tell),
      candidates: () => present().filter((one) => !this.leaving.has(one.id)),
      report: (fact) => void this.facts.push(fact),
      onChanged: (listener) => {
        this.#listeners.add(listener);
        return () => void this.#listeners.delete(listener);
      },
    });
    this.nodes.set(id, journals);
  }

  #ask(
    from: MemberId,
    what: { readonly member: MemberId; readonly message: Uint8Array; readonly withinMs: number },
    tell: (answer: Uint8Array | null) => void,
  ): void {
    const { member, message, withinMs } = what;
    const { clock } = this;
    this.asks += 1;
    this.asked += message.length;
    const isLost = (): boolean => [from, member].some((one) => this.silent.has(one) || this.dead.has(one));
    const later = (ms: number, act: () => void): void => void clock.wakeAt(after(clock.now(), ms), act);
    if (isLost()) return later(withinMs, () => tell(null));
    // As a network does: what was a view here may change, what was sent does not.
    const sent = message.slice();
    later(this.wayMs, () => {
      const answer = isLost() ? null : (this.nodes.get(member)?.answer(from, sent)?.slice() ?? null);
      later(this.wayMs, () => tell(answer));
    });
  }
}

export const deaf: LogEars = { copied: () => {}, fenced: () => {}, outgrown: () => {} };
