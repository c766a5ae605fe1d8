/**
 * What stands between an answer and its client, for the sake of the day when this node is gone: events have their ids;
 * what cannot be made again exactly goes out only once another member has it; and a client that goes on with an answer
 * is told nothing twice.
 *
 *   swallowing ──the event that the client had last──► passing           swallowing ──past it──► diverged
 *
 * The first event of plain text waits until those who are to hold copies know of the stream, so that no client asks for one
 * that nobody knows: they were told when the request went to an engine, and all else can be told again from that. Where an
 * answer begins as something else than plain text, or becomes that, they must know it first. They are all waited for, so
 * that this node and one of them may go at once; soon only for one, and after a while for none, as in a cluster of one.
 */
import { after, type Instant } from '../std/time.ts';
import { eventId, isSame, type Mark, type Said } from '../stream/mark.ts';
import { recordBytes, recordIn, type Written } from '../stream/record.ts';
import type { Reach } from '../journal/kept.ts';
import type { LogEars, StreamLog } from './journals.ts';
import type { Clock } from './ports.ts';

/** How long anything waits for a copy, ms: who has not taken it by then is not waited for any more. */
const copyMs = 2_000;
/**
 * How long for a second one, ms: as long as it takes until a holder that is gone is known to be, and another one has it.
 * Nodes that are busier than they can be take half of it. A holder that is frozen holds up for so long what is copied
 * elsewhere.
 */
const eachMs = 1_000;

/** One event of a stream. `id`: null for what belongs to no answer. */
export type ClientEvent = { readonly data: string; readonly id: string | null };

type GateOptions = {
  /** Of the stream, whether it is written down or not. */
  readonly stream: string;
  readonly clock: Clock;
  /** Every event waits for its copy, and the end too. */
  readonly commits: boolean;
  /** It goes out as it is made; else all of it waits for its copy at the end, since it is given once. */
  readonly streamed: boolean;
  /** Where the client is already; null: at the beginning. */
  readonly from: Mark | null;
};

/** `mark`, `ending`: as the effect `send` has them. */
type Told = { readonly data: string; readonly mark: Mark | null; readonly ending?: Said['ending'] };
/** It goes out once each copy has so much, from `oneFrom` on once one has, and by `until` in any case. */
type Owed = {
  readonly bytes: number;
  readonly oneFrom: Instant;
  readonly until: Instant;
  readonly go: () => void;
};

export class Gate implements LogEars {
  readonly #options: GateOptions;
  #log: StreamLog | null = null;
  /** How much a member must have to know of the stream, bytes. */
  #opening = 0;
  #written = 0;
  #copies = 0;
  #from: Mark | null;
  readonly #owed: Owed[] = [];
  #disarm = (): void => {};
  #begun = false;
  /** Whoever does not know what was just written would go on with another answer. */
  #turned = false;
  /** Another entry node goes on with it. */
  onFenced = (): void => {};
  /** If this node goes, it goes with it. */
  onOutgrown = (): void => {};
  /** What goes on is not what the client has. */
  onDiverged = (): void => {};
  onWritten = (_records: readonly Written[]): void => {};

  constructor(options: GateOptions) {
    this.#options = options;
    this.#from = options.from;
  }

  /** From now on what is written down goes there. `bytes`: what stands in it. */
  attach(log: StreamLog, bytes: number): void {
    this.#log = log;
    this.#opening = bytes;
    this.#written = bytes;
  }

  get copies(): number {
    return this.#copies;
  }

  /** The stream's id, whether it is written down or not. */
  get stream(): string {
    return this.#options.stream;
  }

  get log(): StreamLog | null {
    return this.#log;
  }

  write(records: readonly Written[]): void {
    this.onWritten(records);
    if (this.#log === null) return;
    let isLast = false;
    for (const record of records) {
      const one = recordIn(record);
      isLast ||= one.type === 'closed' || ('finish' in one && one.finish !== null);
      this.#turned ||= one.type === 'unfit' || (one.type === 'spoken' && !this.#begun);
    }
    for (const record of records) this.append(recordBytes(record), isLast);
  }

  append(bytes: Uint8Array, isLast: boolean): void {
    if (this.#log === null) return;
    const { commits, streamed } = this.#options;
    const urgent = streamed ? commits || this.#turned : isLast;
    this.#written = this.#log.append(bytes, urgent);
  }

  /** `send`: once it may go out. */
  say(event: Told, send: (event: ClientEvent) => void): void {
    const data = this.#lackedOf(event);
    if (data === null) return;
    const { mark } = event;
    const { stream, commits } = this.#options;
    const id = mark === null ? null : eventId(stream, mark);
    const needed = commits || this.#turned ? this.#written : this.#begun ? -1 : this.#opening;
    this.#begun = true;
    this.#turned = false;
    if (this.#mayGo(needed)) send({ data, id });
    else this.#owe(needed, () => send({ data, id }));
  }

  /** The end of it, or all of it at once. */
  finish(go: () => void): void {
    const { commits, streamed } = this.#options;
    const needed = commits || !streamed ? this.#written : -1;
    if (this.#mayGo(needed)) go();
    else this.#owe(needed, go);
  }

  /** Where its client is has not come yet. */
  get isSwallowing(): boolean {
    return this.#from !== null;
  }

  /** What still waits goes out. */
  open(): void {
    this.#disarm();
    for (const { go } of this.#owed.splice(0)) go();
  }

  /** Nothing goes out any more. */
  shut(): void {
    this.#disarm();
    this.#owed.length = 0;
  }

  copied(copies: number): void {
    this.#copies = copies;
    this.#release();
  }

  fenced(): void {
    this.#log = null;
    this.open();
    this.onFenced();
  }

  /** What it still tells it tells uncopied. */
  outgrown(): void {
    this.#log = null;
    this.#copies = 0;
    this.open();
    this.onOutgrown();
  }

  /** What its client has not heard of it; null: nothing. */
  #lackedOf({ data, mark, ending }: Told): string | null {
    const from = this.#from;
    if (from === null || mark === null) return data;
    const hasTokens = ending !== undefined && isSame(ending.behind, from);
    if (hasTokens || isSame(mark, from)) {
      this.#from = null;
      this.#begun = true;
      return hasTokens ? ending.data : null;
    }
    if (mark.tokens <= from.tokens) return null;
    this.#from = null;
    this.onDiverged();
    return null;
  }

  /** Nothing stands before it, and each copy has so many bytes. */
  #mayGo(needed: number): boolean {
    return this.#owed.length === 0 && this.#isCopied(needed, 'each');
  }

  #owe(bytes: number, go: () => void): void {
    const now = this.#options.clock.now();
    this.#owed.push({ bytes, oneFrom: after(now, eachMs), until: after(now, copyMs), go });
    if (this.#owed.length === 1) this.#arm();
  }

  /** For the first that waits: each waits for itself, and those behind it not a moment less. */
  #arm(): void {
    this.#disarm();
    const [first] = this.#owed;
    if (first === undefined) {
      this.#disarm = () => {};
      return;
    }
    const { clock } = this.#options;
    const at = clock.now() < first.oneFrom ? first.oneFrom : first.until;
    this.#disarm = clock.wakeAt(at, () => {
      this.#release();
      this.#arm();
    });
  }

  #isCopied(bytes: number, where: keyof Reach): boolean {
    return bytes < 0 || this.#log === null || bytes <= this.#log.reach()[where];
  }

  #release(): void {
    const waiting = this.#owed.length;
    const now = this.#options.clock.now();
    let owed = this.#owed[0];
    while (
      owed !== undefined &&
      (owed.until <= now || this.#isCopied(owed.bytes, owed.oneFrom <= now ? 'best' : 'each'))
    ) {
      this.#owed.shift();
      owed.go();
      owed = this.#owed[0];
    }
    if (this.#owed.length < waiting) this.#arm();
  }
}
