/**
 * One simulated engine: a process of its own beside the daemon, which it outlives. It takes requests on its Unix socket,
 * runs a few of them at a time, and says their tokens at a rhythm. It can be killed, stopped (SIGSTOP), wedged (health
 * and metrics are fine, and no token comes), slowed down, and made to break its answers off in every way that vLLM has.
 */
import { instant } from '../../../src/std/time.ts';
import type { LegRequest } from '../../../src/stream/continuation.ts';
import type { Dice } from '../dice.ts';
import type { SimProcess } from '../process.ts';
import { Answer, textOf, type Body, type ToldChoice } from './answer.ts';
import type { Place, Wire } from './wires.ts';

/** What passes between who asks an engine and who answers for it. */
export type Ask = { readonly type: 'request'; readonly request: LegRequest };
export type Reply =
  | { readonly type: 'head'; readonly load: Load | null }
  | { readonly type: 'event'; readonly data: string }
  | { readonly type: 'end' }
  /** `refused`: a member did not admit it. */
  | {
      readonly type: 'whole';
      readonly status: number;
      readonly body: string;
      readonly refused: string | null;
      readonly load: Load | null;
    };
type Load = { readonly running: number; readonly waiting: number };

/** How an answer is broken off. `silent`: its stream stays open, as a stopping vLLM leaves it. */
export type BreakOff = 'abort' | 'error' | 'bare-done' | 'eof' | 'silent';
export const breakOffs: readonly BreakOff[] = ['abort', 'error', 'bare-done', 'eof', 'silent'];

/** Sequences that run at a time; the rest waits. */
const runningMax = 6;
const bootMs = { least: 300, most: 3_000 };
const prefillMs = { least: 10, most: 150 };
/** From token to token, of one request: some engines are slow, and a batch breathes. */
const gapMs = { least: 20, most: 500 };
const breath = { least: 0.8, most: 1.25 };
/** Chunks of more than one token come of a slow reader or of speculation. */
const groupShare = 0.1;
export const chunkTokensMax = 3;
const exitMs = 100;
const frailShare = 0.02;
/** After its answers broke off nobody calls it well for a moment, ms. */
const infirmMs = 500;

type Job = {
  readonly wire: Wire;
  readonly request: LegRequest;
  readonly answer: Answer;
  readonly gapMs: number;
  /** Of an answer in one piece. */
  readonly said: string[];
  phase: 'waiting' | 'running' | 'stuck' | 'silent';
};

type Options = {
  readonly pid: number;
  readonly dice: Dice;
  /** Breaks an answer off now and then, and nobody is told. */
  readonly isFrail: boolean;
  /** Its kernel closes what it had open. */
  readonly onGone: () => void;
};

export class SimEngine {
  readonly place: Place;
  readonly pid: number;
  /** While there is one, health and metrics are fine, and no token comes. */
  #wedges = 0;
  /** Of the time between two tokens. */
  slowness = 1;
  /** Tokens made, and read in prompts. */
  generated = 0;
  prompted = 0;
  /** Hears of its end. */
  onExit: () => void = () => {};
  readonly #options: Options;
  readonly #listensFrom: number;
  readonly #jobs = new Set<Job>();
  #stopping = false;
  #brokeOffAt = -Infinity;
  #count = 0;

  constructor(place: Place, options: Options) {
    const { pid, dice } = options;
    this.place = place;
    this.pid = pid;
    this.#options = options;
    this.#listensFrom = this.#process.now() + dice.between(bootMs.least, bootMs.most);
  }

  get #process(): SimProcess {
    return this.place.process;
  }

  get #dice(): Dice {
    return this.#options.dice;
  }

  get alive(): boolean {
    return this.#process.alive;
  }

  get isBooted(): boolean {
    return this.alive && this.#process.now() >= this.#listensFrom;
  }

  /** Whether a connection to its socket can be had. */
  get listens(): boolean {
    return this.isBooted && !this.#stopping;
  }

  /** Whether it does what an engine is there for. */
  get isWell(): boolean {
    const isFirm = this.#process.now() - this.#brokeOffAt > infirmMs;
    return this.listens && isFirm && !this.#process.paused && this.#wedges === 0 && this.slowness === 1;
  }

  get load(): Load {
    const running = [...this.#jobs].filter(({ phase }) => phase !== 'waiting').length;
    return { running, waiting: this.#jobs.size - running };
  }

  accept(wire: Wire): void {
    let job: Job | null = null;
    wire.ears = {
      heard: (message) => {
        job = this.#begin(wire, (message as Ask).request);
      },
      lost: () => {
        if (job !== null) this.#drop(job);
      },
    };
  }

  /** SIGTERM. With a stream open vLLM answers it with silence, and never exits. */
  terminate(): void {
    this.#stopping = true;
    for (const job of this.#jobs) job.phase = 'silent';
    this.#leaveWhenIdle();
  }

  kill(): void {
    if (!this.alive) return;
    this.#process.alive = false;
    this.#options.onGone();
    this.onExit();
  }

  wedge(): void {
    this.#wedges++;
  }

  /** Once for each `wedge`. */
  unwedge(): void {
    if (--this.#wedges > 0) return;
    for (const job of this.#jobs) {
      if (job.phase !== 'stuck') continue;
      job.phase = 'running';
      this.#speakSoon(job, job.gapMs);
    }
  }

  /** Every answer under way. */
  breakOff(how: BreakOff): void {
    this.#brokeOffAt = this.#process.now();
    for (const job of [...this.#jobs]) {
      if (how === 'silent') job.phase = 'silent';
      else this.#breakOff(job, how);
    }
    this.#admit();
  }

  #begin(wire: Wire, request: LegRequest): Job {
    const body = JSON.parse(request.body) as Body;
    const id = `${this.place.host.id}-${++this.#count}`;
    const [answer, pace] = [new Answer(request.path, body, id), this.#dice.unit() ** 2];
    const own = gapMs.least + pace * (gapMs.most - gapMs.least);
    const job: Job = { wire, request, answer, gapMs: own, said: [], phase: 'waiting' };
    this.#jobs.add(job);
    if (request.streamed) wire.send({ type: 'head', load: null } satisfies Reply);
    this.#admit();
    return job;
  }

  #admit(): void {
    let running = this.load.running;
    for (const job of this.#jobs) {
      if (running >= runningMax) return;
      if (job.phase !== 'waiting') continue;
      running++;
      job.phase = 'running';
      this.prompted += job.answer.promptIds.length;
      this.#speakSoon(job, this.#dice.between(prefillMs.least, prefillMs.most));
    }
  }

  #speakSoon(job: Job, ms: number): void {
    const pause = ms * this.slowness * this.#dice.between(breath.least, breath.most);
    this.#process.wakeAt(instant(this.#process.now() + pause), () => this.#speak(job));
  }

  #speak(job: Job): void {
    if (!this.#jobs.has(job) || job.phase !== 'running') return;
    if (this.#wedges > 0) {
      job.phase = 'stuck';
      return;
    }
    const before = job.answer.made;
    const events = job.answer.next(this.#dice.hits(groupShare) ? chunkTokensMax : 1);
    this.generated += job.answer.made - before;
    for (const data of events) this.#say(job, data);
    if (this.#options.isFrail && this.#dice.hits(frailShare)) return this.#breakOff(job, 'eof');
    if (!job.answer.isFinished) return this.#speakSoon(job, job.gapMs);
    this.#say(job, '[DONE]');
    this.#end(job);
  }

  #say({ wire, request, said }: Job, data: string): void {
    if (request.streamed) wire.send({ type: 'event', data } satisfies Reply);
    else said.push(data);
  }

  #end(job: Job): void {
    const { wire, request, said } = job;
    const whole = { type: 'whole', status: 200, refused: null, load: null } as const;
    wire.send((request.streamed ? { type: 'end' } : { ...whole, body: joined(said) }) satisfies Reply);
    this.#drop(job);
  }

  #breakOff(job: Job, how: Exclude<BreakOff, 'silent'>): void {
    const { wire, request } = job;
    const whole = { type: 'whole', status: 500, body: errorEvent, refused: null, load: null } as const;
    if (!request.streamed) wire.send(whole satisfies Reply);
    else {
      for (const data of lastWords[how]) wire.send({ type: 'event', data } satisfies Reply);
      wire.send({ type: 'end' } satisfies Reply);
    }
    this.#jobs.delete(job);
  }

  #drop(job: Job): void {
    if (!this.#jobs.delete(job)) return;
    this.#admit();
    this.#leaveWhenIdle();
  }

  #leaveWhenIdle(): void {
    if (!this.#stopping || this.#jobs.size > 0) return;
    this.#process.wakeAt(instant(this.#process.now() + exitMs), () => this.kill());
  }
}

const errorEvent =
  '{"error":{"message":"EngineCore encountered an issue.","type":"InternalServerError","param":null,"code":500}}';

const lastWords: Readonly<Record<Exclude<BreakOff, 'silent'>, readonly string[]>> = {
  abort: [
    '{"id":"x","choices":[{"index":0,"text":"","delta":{},"finish_reason":"abort","token_ids":[]}]}',
    '[DONE]',
  ],
  error: [errorEvent, '[DONE]'],
  'bare-done': ['[DONE]'],
  eof: [],
};

type Event = {
  readonly choices: readonly ToldChoice[];
};

/** An answer in one piece, from what would have been its stream. */
function joined(said: readonly string[]): string {
  const choices = said
    .filter((data) => data !== '[DONE]')
    .flatMap((data) => (JSON.parse(data) as Event).choices);
  const text = choices.map(textOf).join('');
  const finish_reason = choices.at(-1)?.finish_reason ?? null;
  const token_ids = choices.flatMap((choice) => choice.token_ids ?? []);
  return JSON.stringify({
    choices: [{ index: 0, text, message: { content: text }, finish_reason, token_ids }],
  });
}
