/**
 * How a request of a client comes in: as a new answer, as the rest of one that was begun elsewhere, or as one that is
 * given once and may be there already. Whatever it is, it becomes one generation here, with its log and its gate.
 */
import { nameOf } from '../stream/answer.ts';
import { isRepeatable, isWrittenDown } from '../stream/carrier.ts';
import { openingBytes, type LogRecord } from '../stream/record.ts';
import { protectionOf } from '../stream/protection.ts';
import { brokenOff, type Refusal } from '../stream/refusal.ts';
import { readAnswer } from '../stream/apart.ts';
import { after, never, type Instant } from '../std/time.ts';
import { accountOf, begun, type AnswerState } from '../stream/machine.ts';
import { readRequest, type AnswerRequest, type Engines } from '../stream/request.ts';
import type { Mark } from '../stream/mark.ts';
import { Gate } from './gate.ts';
import type { Asked } from './generations.ts';
import type { Journals } from './journals.ts';
import type { Clock } from './ports.ts';
import { join, resume, type Made, type ResumptionPorts, type Start, type Taken } from './resumption.ts';
import type { ClientEnd } from './client-end.ts';
import type { About, Running, WayOut } from './running.ts';
import type { Serving } from './serving.ts';
import type { Spent } from './spent.ts';
import type { Stories } from './stories.ts';

export type EnteringPorts = {
  readonly serving: Serving;
  readonly journals: Journals;
  readonly clock: Clock;
  readonly stories: Stories;
  readonly enginesOf: (model: string) => Engines;
  /** Puts a generation in its place; it has not begun. Call `leave` once, when nobody waits for it any more. */
  readonly run: (
    state: AnswerState,
    way: WayOut,
    about: About,
    asked: Asked,
  ) => { readonly running: Running; leave(): void };
};

/** Call the result once, when the client has gone or has everything. */
export function enter(asked: Asked, client: ClientEnd, about: About, ports: EnteringPorts): () => void {
  const left = ports.serving.entered();
  const entering = new Entering(asked, client, about, ports);
  entering.come();
  return () => {
    entering.leave();
    left();
  };
}

/**
 * When the head goes out of an answer that is made again up to where its client is, or asked for again, ms since it was
 * asked to go on. Until then what keeps it from being done is told by a status; the shortest patience of a load balancer
 * is 30 s.
 */
const headMs = 15_000;

/** Owns whatever stands for the request just now: a search for its log, or a generation. */
class Entering {
  readonly #asked: Asked;
  readonly #client: ClientEnd;
  readonly #about: About;
  readonly #ports: EnteringPorts;
  readonly #headBy: Instant;
  #leave = (): void => {};
  #isGone = false;

  constructor(asked: Asked, client: ClientEnd, about: About, ports: EnteringPorts) {
    this.#asked = asked;
    this.#client = about.once ? this.#patient(client) : client;
    this.#about = about;
    this.#ports = ports;
    // Who is new may be told to ask elsewhere, and who does not stream is told all at once.
    this.#headBy = about.place === null ? never : after(ports.clock.now(), headMs);
  }

  come(): void {
    const { place, claim, once } = this.#about;
    const ends = { client: this.#client, goOn: (taken: Taken) => this.#goOn(taken) };
    if (place !== null) this.#search(() => resume(place, claim, ends, this.#resumption()));
    else if (once) this.#join();
    else this.#begin();
  }

  leave(): void {
    this.#isGone = true;
    this.#leave();
  }

  #patient(client: ClientEnd): ClientEnd {
    return {
      send: (...said) => client.send(...said),
      comment: (head) => client.comment(head),
      close: () => client.close(),
      answer: (...said) => client.answer(...said),
      refuse: (refusal) => this.#refuse(client, refusal),
    };
  }

  /** What it loses to another node while nothing is out it hears from that one. */
  #refuse(client: ClientEnd, refusal: Refusal): void {
    if (refusal.complaint.code !== 'stream_taken' || this.#isGone) return client.refuse(refusal);
    this.#leave();
    this.#join();
  }

  /** What is there already, or is refused, costs nothing. */
  #free(client: ClientEnd): ClientEnd {
    return {
      ...client,
      answer: (...said) => (this.#about.spent?.(0), client.answer(...said)),
      refuse: (refusal) => (this.#about.spent?.(0), client.refuse(refusal)),
    };
  }

  #join(): void {
    const ends = {
      client: this.#free(this.#client),
      begin: () => this.#begin(),
      goOn: (taken: Taken) => this.#goOn(taken),
    };
    this.#search(() => join(this.#about.stream, this.#about.claim, ends, this.#resumption()));
  }

  /** It may be over, and something else begun, before it returns. */
  #search(start: () => () => void): void {
    const before = this.#leave;
    const giveUp = start();
    if (this.#leave === before) this.#leave = giveUp;
  }

  #begin(): void {
    if (this.#isGone) return;
    const { serving, journals, clock } = this.#ports;
    const { endpoint, model, raw } = this.#asked;
    const { id, createdAt, stream, claim, once, owner } = this.#about;
    const engines = this.#ports.enginesOf(model);
    const named = nameOf(endpoint, id, createdAt);
    const request = readAnswer(endpoint, this.#asked, engines, named);
    const gate = this.#gate(stream, request, { engines, from: null });
    if (isWrittenDown(request) && (request.streamed || once)) {
      const apart = request.way === 'apart';
      const bytes = openingBytes({ endpoint, model, raw, engines, named, apart, ...claim });
      const fence = { epoch: 1, by: serving.self };
      // The first event waits until somebody knows of it; where all is told at once, nobody waits before the end.
      const urgent = request.streamed;
      gate.attach(journals.open(stream, { owner, fence, bytes, urgent }, gate), bytes.length);
    }
    this.#start(begun(request, clock.now()), gate, protectionOf(request, engines.ability)).begin();
  }

  #goOn({ stream, request, engines, state, bytes, epoch, said, from }: Taken): void {
    if (this.#isGone) return;
    this.#about.found?.();
    const { serving, journals } = this.#ports;
    const { owner } = this.#about;
    const gate = this.#gate(stream, request, { engines, from });
    const fence = { epoch, by: serving.self };
    gate.attach(journals.open(stream, { owner, fence, bytes, urgent: true }, gate), bytes.length);
    const running = this.#start(state, gate, protectionOf(request, engines.ability));
    gate.onDiverged = () => running.diverge();
    running.say(said);
    running.begin();
  }

  #gate(
    stream: string,
    request: AnswerRequest,
    { engines, from }: { readonly engines: Engines; readonly from: Mark | null },
  ): Gate {
    const commits = !isRepeatable(request, engines.ability);
    const { streamed } = request;
    return new Gate({ stream, clock: this.#ports.clock, commits, streamed, from });
  }

  #start(state: AnswerState, gate: Gate, protection: WayOut['protection']): Running {
    const { id: request, place } = this.#about;
    const { model } = this.#asked;
    const about = { stream: gate.stream, request, model, protection, resumed: place !== null };
    const begin: WayOut['begin'] = (look) => this.#ports.stories.begin(about, look);
    const way = { client: this.#client, gate, protection, begin, headBy: this.#headBy };
    const { running, leave } = this.#ports.run(state, way, this.#about, this.#asked);
    this.#leave = leave;
    return running;
  }

  #resumption(): ResumptionPorts {
    const { serving, journals, clock } = this.#ports;
    return {
      ...{ self: serving.self, journals, clock },
      // As the node did that began it, which may have been of an earlier version.
      read: ({ opening: { apart, engines, named } }) =>
        (apart ? readAnswer : readRequest)(this.#asked.endpoint, this.#asked, engines, named),
      catchUp: (start, done) => this.#catchUp(start, done),
    };
  }

  /** A generation for nobody, whose records are all that is wanted of it. */
  #catchUp({ state, protection }: Start, done: (made: Made) => void): () => void {
    const records: LogRecord[] = [];
    const stream = this.#about.place?.stream ?? this.#about.stream;
    const gate = new Gate({ stream, clock: this.#ports.clock, commits: false, streamed: false, from: null });
    gate.onWritten = (more) => records.push(...more.filter((one) => one.type !== 'choice'));
    const end = (made: Made): void => {
      entered.leave();
      done(made);
    };
    const nobody: ClientEnd = {
      // Of what this node is to write of it nobody has a copy yet.
      comment: (head) =>
        this.#client.comment(() => ({ ...head(), protection, stream: { id: stream, copies: 0 } })),
      send: () => {},
      close: () => end(records),
      answer: () => end({ refusal: brokenOff('mismatch') }),
      refuse: (refusal) => end({ refusal }),
    };
    const way = { client: nobody, gate, protection, begin: null, headBy: this.#headBy };
    // That its client has them already is its word only, so they are charged as they are made.
    const known = accountOf(state).tokens;
    const spent: Spent = (tokens, more) => this.#about.spent?.(tokens, { ...more, known });
    const about = { ...this.#about, spent };
    const entered = this.#ports.run(state, way, about, this.#asked);
    entered.running.begin();
    return entered.leave;
  }
}
