/**
 * Entry nodes and holders of one small cluster under virtual time, by the production codec, over a network that loses,
 * repeats and delays messages as a seed says, until it is told to behave.
 */
import * as entry from '../../src/journal/entry.ts';
import * as holder from '../../src/journal/holder.ts';
import type { Effect, State as EntryState } from '../../src/journal/kept.ts';
import type { Candidate } from '../../src/journal/rendezvous.ts';
import {
  messageBytes,
  readMessage,
  readVerdicts,
  verdictBytes,
  type Message,
} from '../../src/journal/wire.ts';
import { draw, type Rng } from '../../src/std/random.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import { after, instant, type Instant } from '../../src/std/time.ts';

type Post = Extract<Effect, { type: 'post' }>;

export class Net {
  now: Instant = instant(0);
  readonly entries = new Map<MemberId, EntryState>();
  readonly holders = new Map<MemberId, holder.State>();
  readonly effects: { readonly at: MemberId; readonly effect: Effect }[] = [];
  /** Application bytes of all batches. */
  batchBytes = 0;
  batches = 0;
  /** Of a hundred messages so many do not arrive, in either direction. */
  lossPercent = 0;
  readonly zones = new Map<MemberId, string>();
  readonly dead = new Set<MemberId>();
  #rng: Rng;
  readonly #agenda: { readonly at: number; readonly run: () => void }[] = [];

  constructor(members: readonly (readonly [id: string, zone: string])[], seed: number) {
    this.#rng = { seed };
    for (const [id, zone] of members) {
      const member = memberId(id);
      this.zones.set(member, zone);
      this.entries.set(member, entry.init({ session: this.#below(2 ** 32), zone }));
      this.holders.set(member, holder.init(holder.copiesBytesMax));
    }
    for (const id of this.entries.keys()) this.tell(id, { type: 'members', candidates: this.#others(id) });
  }

  tell(at: MemberId, event: entry.Event): void {
    if (this.dead.has(at)) return;
    const [, effects] = entry.step(this.entries.get(at)!, event, this.now);
    for (const effect of effects) {
      this.effects.push({ at, effect });
      if (effect.type === 'post') this.#send(at, effect);
    }
  }

  hold(at: MemberId, event: holder.Event): readonly holder.Effect[] {
    return holder.step(this.holders.get(at)!, event, this.now)[1];
  }

  kill(member: MemberId): void {
    this.dead.add(member);
    for (const id of this.entries.keys())
      this.tell(id, {
        type: 'members',
        candidates: this.#others(id).filter((one) => !this.dead.has(one.id)),
      });
  }

  /** Its memory is empty, and its name the same. */
  restart(member: MemberId): void {
    this.holders.set(member, holder.init(holder.copiesBytesMax));
  }

  /** Lets time pass, with every timer and message in it. */
  pass(ms: number): void {
    const until = after(this.now, ms);
    for (;;) {
      const next = this.#nextAt();
      if (next > until) break;
      this.now = instant(Math.max(this.now, next));
      this.#run();
    }
    this.now = until;
  }

  held(stream: string): readonly MemberId[] {
    return [...this.holders]
      .filter(([id, state]) => !this.dead.has(id) && state.streams.has(stream))
      .map(([id]) => id);
  }

  below(bound: number): number {
    return this.#below(bound);
  }

  #others(self: MemberId): Candidate[] {
    return [...this.zones]
      .filter(([id]) => id !== self && !this.dead.has(id))
      .map(([id, zone]) => ({ id, zone, isFit: true }));
  }

  #nextAt(): number {
    const timers = [...this.entries].map(([id, state]) =>
      this.dead.has(id) ? Infinity : entry.deadline(state),
    );
    const sweeps = [...this.holders.values()].map((state) => holder.deadline(state));
    return Math.min(...timers, ...sweeps, ...this.#agenda.map(({ at }) => at));
  }

  #run(): void {
    for (const [id, state] of this.entries) if (entry.deadline(state) <= this.now) this.tell(id, entry.wake);
    for (const [id, state] of this.holders)
      if (holder.deadline(state) <= this.now) this.hold(id, holder.wake);
    const due = this.#agenda.filter(({ at }) => at <= this.now);
    for (const one of due) this.#agenda.splice(this.#agenda.indexOf(one), 1);
    for (const { run } of due) run();
  }

  #send(from: MemberId, { member, batch, updates }: Post): void {
    const { session } = this.entries.get(from)!;
    const bytes = messageBytes({ type: 'batch', session, updates });
    this.batchBytes += bytes.length;
    this.batches += 1;
    // Copied, as a network does.
    const sent = bytes.slice();
    const failed = (): void => this.tell(from, { type: 'failed', member, batch });
    const arrives = !this.#lost() && !this.dead.has(member);
    if (!arrives) return this.#later(2_000, failed);
    this.#later(1 + this.#below(10), () => {
      if (this.dead.has(member)) return this.#later(1, failed);
      const answer = this.#receive(member, from, readMessage(sent)!);
      // What comes twice is answered twice, and the second answer is to nobody.
      if (this.#lost()) this.#receive(member, from, readMessage(sent)!);
      if (this.#lost()) return this.#later(2_000, failed);
      const verdicts = readVerdicts(answer)!;
      this.#later(1 + this.#below(10), () => this.tell(from, { type: 'answered', member, batch, verdicts }));
    });
  }

  #receive(at: MemberId, from: MemberId, message: Message): Uint8Array {
    if (message.type !== 'batch') throw new Error('only batches are sent here');
    const [answer] = this.hold(at, { type: 'batch', from, batch: message });
    return verdictBytes(answer!.verdicts);
  }

  #later(ms: number, run: () => void): void {
    this.#agenda.push({ at: this.now + ms, run });
  }

  #lost(): boolean {
    return this.lossPercent > 0 && this.#below(100) < this.lossPercent;
  }

  #below(bound: number): number {
    const [value, rng] = draw(this.#rng, bound);
    this.#rng = rng;
    return value;
  }
}

export const six = ['a1 a', 'a2 a', 'b1 b', 'b2 b', 'c1 c', 'c2 c'].map(
  (m) => m.split(' ') as [string, string],
);
export const at = memberId('a1');
export const fence = { epoch: 1, by: at };
/** Of most streams here. */
export const owner = 'key';
export const text = (words: string): Uint8Array => new TextEncoder().encode(words);
export const open = (net: Net, id: string, by: MemberId = at, epoch = 1): void =>
  net.tell(by, { type: 'open', id, owner, fence: { epoch, by }, bytes: text(`${id}:`), urgent: true });
export const append = (net: Net, id: string, words: string, urgent = false): void =>
  net.tell(at, { type: 'append', id, bytes: text(words), urgent });
