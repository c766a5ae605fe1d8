/**
 * A client that goes on with its answer at another node when its own is gone, by the rules of `synkti/client`: an event
 * is taken whole or not at all; who falls silent, breaks off or says goodbye is left for another node, which is told the
 * id of the last event; who knows nothing of the answer is not asked again; and who has had nothing yet begins again.
 *
 *   seeking ──an event──► reading ──silence, an end without [DONE], a reset──► seeking, with the last id
 *      └──nobody goes on with it──► lost
 */
import type { Asked } from '../../../src/node/generations.ts';
import { after, type Instant } from '../../../src/std/time.ts';
import type { Refusal } from '../../../src/stream/refusal.ts';
import type { SimClient } from './client.ts';
import type { Call, Told } from './front.ts';
import type { Station } from './station.ts';
import type { Place, Wire, Wires } from './wires.ts';

/** Its settings, ms: those of a program in a hurry, so that a run sees what happens when they pass. */
const seekMs = 20_000;
const headMs = 6_000;
const wholeMs = 12_000;
const againMs = 250;
const restMs = 5_000;
const fruitlessMax = 5;
const takenBackMax = 3;

/** Where another node may take it, and where another one may know of it. */
const passing = new Set([429, 500, 502, 503, 504]);
const unknown = new Set([404, 410]);

/** Why its answer is lost: its log is said to be gone; or nobody was reached; or it broke off again and again. */
export type Loss = 'gone' | 'unreached' | 'fruitless';

type Ports = {
  /** Where it is. */
  readonly place: Place;
  readonly wires: Wires;
  /** Of a member its newest life; null: nobody of that id ever was. */
  readonly front: (id: string) => Station | null;
  readonly tell: {
    heard(client: SimClient, eventId: string): void;
    /** The connection to its entry node is gone, or as good as gone. */
    broke(client: SimClient): void;
    wentOn(): void;
    /** The node that it asks has said nothing in time. */
    unanswered(client: SimClient): void;
    /** The node that it asks says that nobody has its log. */
    disowned(client: SimClient): void;
    lost(client: SimClient, loss: Loss, urls: readonly string[]): void;
  };
};

type About = {
  /** The nodes that it knows, in the order in which it asks them. */
  readonly urls: readonly string[];
  /** Silence in the middle of an answer for which a node is left, ms; twice as long each time nothing comes of it. */
  readonly silenceMs: number;
};

type Search = { readonly until: Instant; readonly ignorant: Set<string>; refused: Refusal | null };

export class DurableClient {
  readonly #client: SimClient;
  readonly #about: About;
  readonly #ports: Ports;
  readonly #asked: Asked;
  readonly #failedAt = new Map<string, number>();
  #turn = 0;
  /** Answers that it has begun: each is a new one to the cluster. */
  #begun = 0;
  #lastId: string | null = null;
  #fruitless = 0;
  #attempts = 0;
  #takenBack = 0;
  #wire: Wire | null = null;
  #from = '';
  #heardAt = 0;
  #isOver = false;

  constructor(client: SimClient, about: About, ports: Ports) {
    this.#client = client;
    this.#about = about;
    this.#ports = ports;
    this.#asked = client.asked;
    client.onGone(() => this.#close());
  }

  get #now(): Instant {
    return this.#ports.place.process.now();
  }

  get #isStream(): boolean {
    return this.#client.wish.body.stream === true;
  }

  seek(): void {
    this.#round({ until: after(this.#now, seekMs), ignorant: new Set(), refused: null });
  }

  #round(search: Search): void {
    const first = this.#turn++ % this.#about.urls.length;
    const order = [...this.#about.urls.slice(first), ...this.#about.urls.slice(0, first)];
    const isRested = (id: string): boolean => this.#now - (this.#failedAt.get(id) ?? -Infinity) > restMs;
    const inTurn = [...order.filter(isRested), ...order.filter((id) => !isRested(id))];
    this.#askNext(
      inTurn.filter((id) => !search.ignorant.has(id)),
      search,
    );
  }

  #askNext([id, ...rest]: readonly string[], search: Search): void {
    if (this.#isOver) return;
    if (id === undefined) return this.#endRound(search);
    this.#attempt(id, (first) => {
      if (this.#isOver) return;
      if (first === null || first.type === 'end') this.#failedAt.set(id, this.#now);
      else if (first.type !== 'refused') return this.#take(id, first);
      else if (this.#isFinal(first.refusal, id, search)) return;
      this.#askNext(rest, search);
    });
  }

  /** Whether asking others does not help. */
  #isFinal(refusal: Refusal, id: string, search: Search): boolean {
    const { status, complaint } = refusal;
    const isResuming = this.#lastId !== null;
    if (isResuming && unknown.has(status)) {
      search.ignorant.add(id);
      this.#ports.tell.disowned(this.#client);
      return false;
    }
    const isTaken = isResuming && complaint.code === 'stream_taken';
    if (isTaken || (passing.has(status) && complaint.code !== 'answer_lost')) {
      if (status !== 429 && !isTaken) this.#failedAt.set(id, this.#now);
      search.refused = refusal;
      return false;
    }
    this.#refused(refusal);
    return true;
  }

  #endRound({ until, ignorant, refused }: Search): void {
    const isResuming = this.#lastId !== null;
    const isGone = isResuming && ignorant.size === this.#about.urls.length;
    const waitMs = Math.max(againMs, Math.min(5_000, refused?.retryAfterMs ?? 0));
    const isLate = after(this.#now, waitMs) > until;
    if (isGone) return this.#lose('gone');
    if (!isLate) {
      const again = { until, ignorant, refused: null };
      this.#ports.place.process.wakeAt(after(this.#now, waitMs), () => this.#round(again));
    } else if (refused !== null && !isResuming) this.#refused(refused);
    else this.#lose(ignorant.size > 0 ? 'gone' : 'unreached');
  }

  #refused(refusal: Refusal): void {
    this.#isOver = true;
    this.#client.refuse(refusal);
  }

  #lose(loss: Loss): void {
    this.#isOver = true;
    this.#ports.tell.lost(this.#client, loss, this.#about.urls);
    this.#client.finish('lost');
  }

  /** `answered` once: with the first word, or null when none came in time. */
  #attempt(id: string, answered: (first: Told | null) => void): void {
    const { place, wires, front } = this.#ports;
    let wire: Wire | null = null;
    let isOver = false;
    const once = (first: Told | null): void => {
      if (isOver) return;
      isOver = true;
      if (first === null || this.#isOver) wire?.abort();
      else this.#wire = wire;
      answered(first);
    };
    place.process.wakeAt(after(this.#now, this.#isStream ? headMs : wholeMs), () => {
      if (!isOver && wire !== null && this.#lastId !== null) this.#ports.tell.unanswered(this.#client);
      once(null);
    });
    const to = front(id);
    if (to === null) return;
    wires.dial(place, to.place, {
      met: (theirs) => to.front.accept(theirs),
      done: (ours) => {
        if (ours === null || isOver || this.#isOver) {
          ours?.abort();
          return once(null);
        }
        wire = ours;
        wire.ears = { heard: (told) => once(told as Told), lost: () => once(null) };
        this.#client.hangsOn(to);
        wire.send(this.#call());
      },
    });
  }

  #call(): Call {
    const { id } = this.#client;
    const isStream = this.#isStream;
    if (this.#lastId === null && isStream) this.#begun++;
    const stream = `stream-of-client-${id}-${this.#begun}`.padEnd(22, '-');
    const claim = { owner: id, digest: id };
    const about = {
      id,
      headers: { 'x-request-id': id },
      claim,
      stream,
      once: !isStream,
      resumes: true,
      createdAt: 0,
      owner: '',
    };
    const attempt = this.#lastId === null ? null : ++this.#attempts;
    return { type: 'call', asked: this.#asked, about, lastEventId: this.#lastId, attempt };
  }

  /** A node answers. */
  #take(id: string, first: Exclude<Told, { type: 'end' | 'refused' }>): void {
    const wire = this.#wire;
    if (wire === null) return;
    this.#from = id;
    this.#failedAt.delete(id);
    if (this.#lastId !== null) this.#ports.tell.wentOn();
    wire.ears = {
      heard: (told) => this.#hear(told as Told),
      lost: () => this.#mend(),
    };
    this.#heardAt = this.#now;
    this.#hear(first);
    if (this.#isStream) this.#listen(wire);
  }

  #hear(told: Told): void {
    if (this.#isOver) return;
    this.#heardAt = this.#now;
    switch (told.type) {
      case 'event': {
        const { data, id } = told.event;
        if (this.#lastId !== null && data.includes('"node_leaving"')) return this.#mend();
        const isTaken = this.#lastId !== null && data.includes('"stream_taken"');
        if (isTaken && this.#takenBack++ < takenBackMax) return this.#mend();
        this.#lastId = id ?? this.#lastId;
        if (id !== null) this.#ports.tell.heard(this.#client, id);
        this.#fruitless = 0;
        this.#client.send(told.event);
        if (data === '[DONE]') this.#end(() => this.#client.close());
        return;
      }
      case 'end':
        return this.#mend();
      case 'whole':
        return this.#end(() => this.#client.answer(told.whole));
      case 'refused':
        return this.#refused(told.refusal);
    }
  }

  #end(tell: () => void): void {
    this.#isOver = true;
    tell();
    this.#wire?.abort();
  }

  /** Looks now and then whether something came, until this connection is no more. */
  #listen(wire: Wire): void {
    if (this.#isOver || this.#wire !== wire) return;
    const patienceMs = this.#about.silenceMs * 2 ** this.#fruitless;
    const until = after(this.#heardAt as Instant, patienceMs);
    if (this.#lastId !== null && until <= this.#now) return this.#mend();
    const lookAt = until > this.#now ? until : after(this.#now, patienceMs);
    this.#ports.place.process.wakeAt(lookAt, () => this.#listen(wire));
  }

  /** Goes on elsewhere, or begins again where it has nothing yet. */
  #mend(): void {
    if (this.#isOver) return;
    this.#ports.tell.broke(this.#client);
    this.#wire?.abort();
    this.#wire = null;
    this.#failedAt.set(this.#from, this.#now);
    this.#fruitless += 1;
    if (this.#fruitless > fruitlessMax) this.#lose('fruitless');
    else this.seek();
  }

  #close(): void {
    this.#isOver = true;
    this.#wire?.abort();
  }
}
