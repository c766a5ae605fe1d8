/**
 * The journal of this node: the logs of the streams that entered here, copied to other members, and the copies that it
 * holds for them. Both machines are driven here, against a way to ask members; what is in a log is the streams' matter.
 */
import * as entry from '../journal/entry.ts';
import { isBelow, yieldsTo, type Fence } from '../journal/fence.ts';
import * as holder from '../journal/holder.ts';
import type { Effect as EntryEffect, Reach, State as EntryState } from '../journal/kept.ts';
import type { Candidate } from '../journal/rendezvous.ts';
import {
  heldBytes,
  messageBytes,
  readHeld,
  readMessage,
  readVerdicts,
  verdictBytes,
  type AskedLog,
  type Batch,
  type HandedLog,
  type HeldLog,
  type Verdict,
} from '../journal/wire.ts';
import type { MemberId } from '../std/member-id.ts';
import { assert } from '../std/assert.ts';
import { drive, type Driven } from './drive.ts';
import type { Report } from './facts.ts';
import { better, findLog, peekMs, placesOf, type AskMember } from './finding.ts';
import { handOn, type HandedOn } from './handing-on.ts';
import { openLastCopies, type LastCopies } from './last-copies.ts';
import type { Clock } from './ports.ts';

/** A batch that is not answered by then is lost, and its member asked for nothing for a while. ms */
const batchMs = 2_000;
/** Longer by so much for each MB of it: a busy node takes 10 MB/s at least. */
const batchMsPerMb = 100;

export type JournalPorts = {
  readonly self: MemberId;
  readonly zone: string;
  readonly clock: Clock;
  /** Of this start of the node, and of no other. */
  readonly session: number;
  readonly ask: AskMember;
  /** Of copies for other nodes. */
  readonly copiesBytesMax: number;
  /** Those that may hold copies. */
  readonly candidates: () => readonly Candidate[];
  /** And besides them those that hold what they held before they began to leave. */
  readonly present: () => readonly Candidate[];
  /** Tells that candidates changed; `gone`: who is present no more, or was started again; null: nobody. */
  readonly onChanged: (listener: (gone: MemberId | null) => void) => () => void;
  readonly report: Report;
};

/** What the owner of a log wants to hear. */
export type LogEars = {
  /** Copies have more of it, or less; so many members have any. */
  copied(copies: number): void;
  /** Another entry node writes it now. */
  fenced(): void;
  /** It was too much for this node, and is written by nobody any more. */
  outgrown(): void;
};

/** The log of one stream that entered here. */
export type StreamLog = {
  readonly id: string;
  /** Its length afterwards, bytes. `urgent`: somebody waits for a copy. */
  append(bytes: Uint8Array, urgent: boolean): number;
  /** Members that have a copy, or will. */
  holders(): readonly MemberId[];
  /** How much of it they have. */
  reach(): Reach;
  /** `lingerMs`: how long it may still be asked for. */
  end(lingerMs: number): void;
};

/** `owner`: the key whose stream it is; empty: none. `urgent`: somebody waits for a copy. */
type NewLog = {
  readonly owner: string;
  readonly fence: Fence;
  readonly bytes: Uint8Array;
  readonly urgent: boolean;
};

export type Journals = {
  open(id: string, log: NewLog, ears: LogEars): StreamLog;
  /** Answers another member. null: not a message. */
  answer(from: MemberId, message: Uint8Array): Uint8Array | null;
  /**
   * Looks for a log, here and at those that may hold it: the first that is enough, else the best of all; null: nobody
   * has it. Calls back once; the result gives up.
   */
  find(id: string, isEnough: (held: HeldLog) => boolean, tell: (held: HeldLog | null) => void): () => void;
  /** The log as this node writes it; null: it does not, or it has ended. */
  working(id: string): HeldLog | null;
  /** Tells whoever has it that we write it from now on. */
  takeOver(id: string, fence: Fence): void;
  /**
   * Whether this member still works at the log that it wrote: it may be gone, or have been started again and know nothing
   * of it. Calls back once; who does not answer is taken at membership's word. `over`: what it has of one that has ended.
   */
  isAtWork(id: string, member: MemberId, tell: (atWork: boolean, over: HeldLog | null) => void): void;
  /** Before this node leaves: what it holds and nobody else looks after goes to others. */
  handOn(withinMs: number): Promise<HandedOn>;
  /** Copies of other nodes' streams. */
  held(): { readonly streams: number; readonly bytes: number };
  /** Whose stream this is that we hold a copy of; null: we hold none. */
  copyOf(id: string): { readonly entry: MemberId; readonly ended: boolean } | null;
  /** Logs of our own streams, ended ones among them. */
  kept(): number;
  close(): void;
};

export function openJournals(ports: JournalPorts): Journals {
  return new NodeJournals(ports);
}

class NodeJournals implements Journals {
  readonly #ports: JournalPorts;
  readonly #ears = new Map<string, LogEars>();
  readonly #entries: Driven<EntryState, entry.Event>;
  readonly #copies: Driven<holder.State, holder.Event>;
  readonly #lastCopies: LastCopies;
  readonly #unsubscribe: () => void;
  /** Of the batch that was taken last. */
  #verdicts: readonly Verdict[] = [];

  constructor(ports: JournalPorts) {
    const { session, zone, clock } = ports;
    this.#ports = ports;
    this.#entries = drive<EntryState, entry.Event, EntryEffect>(
      entry,
      entry.init({ session, zone }),
      clock,
      (effect) => this.#perform(effect),
    );
    this.#copies = drive<holder.State, holder.Event, holder.Effect>(
      holder,
      holder.init(ports.copiesBytesMax),
      clock,
      (effect) => {
        this.#verdicts = effect.verdicts;
      },
    );
    const tell = (): void => this.#entries.deliver({ type: 'members', candidates: ports.candidates() });
    const logs = (): readonly HandedLog[] => holder.handedOf(this.#copies.state(), clock.now());
    this.#lastCopies = openLastCopies({ ...ports, logs });
    this.#unsubscribe = ports.onChanged((gone) => {
      tell();
      if (gone !== null && this.held().streams > 0) this.#lastCopies.lost(gone);
    });
    tell();
  }

  open(id: string, { owner, fence, bytes, urgent }: NewLog, ears: LogEars): StreamLog {
    // Who had it before at this node hears that it is no longer his, and only then does the new one listen.
    this.#entries.deliver({ type: 'open', id, owner, fence, bytes, urgent });
    this.#copies.deliver({ type: 'written', id, fence });
    this.#ears.set(id, ears);
    let length = bytes.length;
    return {
      id,
      append: (more, urgent) => {
        length += more.length;
        this.#entries.deliver({ type: 'append', id, bytes: more, urgent });
        return length;
      },
      holders: () => entry.holdersOf(this.#entries.state(), id),
      reach: () => entry.reachOf(this.#entries.state(), id),
      end: (lingerMs) => {
        if (this.#ears.get(id) !== ears) return;
        this.#ears.delete(id);
        this.#entries.deliver({ type: 'end', id, lingerMs });
      },
    };
  }

  answer(from: MemberId, bytes: Uint8Array): Uint8Array | null {
    const message = readMessage(bytes);
    if (message === null) return null;
    switch (message.type) {
      case 'batch':
        return verdictBytes(this.#take(from, message));
      case 'peek':
        return heldBytes(this.#ours(message.id));
      case 'fence':
        this.#entries.deliver({ type: 'fence', id: message.id, fence: message.fence });
        this.#copies.deliver({ type: 'fence', id: message.id, fence: message.fence });
        return heldBytes(null);
      case 'hand':
        return verdictBytes(this.#takeHanded(from, message.logs));
      case 'session':
        return verdictBytes(message.session === this.#ports.session ? [] : [{ number: 0, why: 'unknown' }]);
      case 'have':
        return verdictBytes(this.#lackOf(message.logs));
    }
  }

  find(id: string, isEnough: (held: HeldLog) => boolean, tell: (held: HeldLog | null) => void): () => void {
    const { ask, clock, present } = this.#ports;
    const places = placesOf(id, present());
    return findLog({ id, ours: () => this.#ours(id), places, isEnough }, { ask, clock }, tell);
  }

  working(id: string): HeldLog | null {
    const own = entry.logOf(this.#entries.state(), id);
    return own?.ended === false ? own : null;
  }

  takeOver(id: string, fence: Fence): void {
    const { self, ask, present } = this.#ports;
    assert(fence.by === self, 'a log is taken over for oneself');
    this.#copies.deliver({ type: 'fence', id, fence });
    const message = messageBytes({ type: 'fence', id, fence });
    for (const member of placesOf(id, present())) ask(member, message, peekMs, () => {});
  }

  isAtWork(id: string, member: MemberId, tell: (atWork: boolean, over: HeldLog | null) => void): void {
    const { self, ask, present } = this.#ports;
    // Who is about to leave finishes what it has begun.
    const isWell = (): boolean => present().some((one) => one.id === member && one.isFit);
    const judge = (held: HeldLog | null): void =>
      held?.ended === true ? tell(false, held) : tell(held !== null && (member === self || isWell()), null);
    if (member === self) return judge(entry.logOf(this.#entries.state(), id));
    if (!isWell()) return tell(false, null);
    ask(member, messageBytes({ type: 'peek', id }), peekMs, (answer) => {
      if (answer === null) tell(isWell(), null);
      else judge(readHeld(answer));
    });
  }

  handOn(withinMs: number): Promise<HandedOn> {
    const { zone, clock, ask, candidates, present } = this.#ports;
    const logs = holder.handedOf(this.#copies.state(), clock.now());
    const ports = { zone, clock, ask, candidates: candidates(), present: present() };
    return new Promise((resolve) => handOn(logs, withinMs, ports, resolve));
  }

  held(): { readonly streams: number; readonly bytes: number } {
    return holder.heldBy(this.#copies.state());
  }

  copyOf(id: string): { readonly entry: MemberId; readonly ended: boolean } | null {
    const held = holder.heldOf(this.#copies.state(), id);
    return held && { entry: held.fence.by, ended: held.ended };
  }

  kept(): number {
    return this.#entries.state().kept.size;
  }

  close(): void {
    this.#unsubscribe();
    this.#lastCopies.close();
    this.#entries.stop();
    this.#copies.stop();
  }

  /**
   * Two nodes that begin the same at once may hold each other's copies, and nobody else's: so what comes is measured by
   * our own logs as well. One of the two gives way, the same one wherever they meet.
   */
  #take(from: MemberId, batch: Batch): readonly Verdict[] {
    const lost: entry.Event[] = [];
    const refused = new Set<number>();
    for (const update of batch.updates) {
      if (update.type !== 'open') continue;
      const own = entry.logOf(this.#entries.state(), update.id);
      if (own === null) continue;
      if (yieldsTo(own, update.fence)) lost.push({ type: 'fence', id: update.id, fence: update.fence });
      else refused.add(update.number);
    }
    this.#verdicts = [];
    const updates =
      refused.size === 0 ? batch.updates : batch.updates.filter(({ number }) => !refused.has(number));
    this.#copies.deliver({ type: 'batch', from, batch: { ...batch, updates } });
    const verdicts = [
      ...this.#verdicts,
      ...[...refused].map((number) => ({ number, why: 'fenced' }) as const),
    ];
    // Who loses looks for the log of the other at once, and has its copy by now.
    for (const event of lost) this.#entries.deliver(event);
    return verdicts;
  }

  /** What we write ourselves we have, unless it was taken over from us. */
  #takeHanded(from: MemberId, logs: readonly HandedLog[]): readonly Verdict[] {
    const others = logs.flatMap((log, number) => {
      const own = entry.logOf(this.#entries.state(), log.id);
      return own === null || isBelow(own.fence, log.fence) ? [{ log, number }] : [];
    });
    this.#verdicts = [];
    const here = new Set(this.#ports.present().map(({ id }) => id));
    this.#copies.deliver({ type: 'handed', from, logs: others.map(({ log }) => log), here });
    const verdicts = this.#verdicts.map(({ number, why }) => ({ number: others[number]!.number, why }));
    for (const { log } of others) this.#entries.deliver({ type: 'fence', id: log.id, fence: log.fence });
    return verdicts;
  }

  /** `fenced`: it is looked after. */
  #lackOf(logs: readonly AskedLog[]): readonly Verdict[] {
    const { self, present } = this.#ports;
    const here = new Set([self, ...present().map(({ id }) => id)]);
    return logs.flatMap(({ id, fence, length }, number): readonly Verdict[] => {
      const ours = this.#ours(id);
      const isOlder = ours === null || isBelow(ours.fence, fence);
      if (!isOlder && (isBelow(fence, ours.fence) || ours.bytes.length >= length)) return [];
      return [{ number, why: here.has(fence.by) ? 'fenced' : 'unknown' }];
    });
  }

  #ours(id: string): HeldLog | null {
    return better(entry.logOf(this.#entries.state(), id), holder.heldOf(this.#copies.state(), id));
  }

  #perform(effect: EntryEffect): void {
    switch (effect.type) {
      case 'post':
        return this.#post(effect);
      case 'copied':
        return this.#ears.get(effect.id)?.copied(effect.copies);
      case 'fenced':
      case 'outgrown': {
        const ears = this.#ears.get(effect.id);
        this.#ears.delete(effect.id);
        return ears?.[effect.type]();
      }
    }
  }

  #post({ member, batch, updates }: Extract<EntryEffect, { type: 'post' }>): void {
    const { session, ask } = this.#ports;
    const message = messageBytes({ type: 'batch', session, updates });
    const withinMs = batchMs + (message.length / 1_024 ** 2) * batchMsPerMb;
    ask(member, message, withinMs, (answer) => {
      const verdicts = answer && readVerdicts(answer);
      if (verdicts === null) this.#entries.deliver({ type: 'failed', member, batch });
      else this.#entries.deliver({ type: 'answered', member, batch, verdicts });
    });
  }
}
