/**
 * One generation whose client is connected here: the machine, driven against its legs on one side and its client on the
 * other. A class because it owns both for as long as the client stays.
 */
import type { Choice, Wish } from '../routing/choose.ts';
import type { Outcome } from '../routing/outliers.ts';
import { messageOf } from '../std/failure.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Instant } from '../std/time.ts';
import type { Effect, Event, MoveCause } from '../stream/events.ts';
import * as machine from '../stream/machine.ts';
import type { AnswerState } from '../stream/machine.ts';
import type { Place, Said } from '../stream/mark.ts';
import type { Protection } from '../stream/protection.ts';
import { brokenOff, entryLeaves, type Refusal } from '../stream/refusal.ts';
import { answerBytes } from '../stream/record.ts';
import type { AnswerHead, ClientEnd, WholeAnswer } from './client-end.ts';
import { drive, type Driven } from './drive.ts';
import type { ClientEvent, Gate } from './gate.ts';
import type { LegNews, OpenLeg } from './leg.ts';
import { eventOf, isFailure, OpenedLeg } from './opened-leg.ts';
import { Pace } from './pace.ts';
import type { Clock } from './ports.ts';
import type { Serving } from './serving.ts';
import { inSteps, type Spent } from './spent.ts';
import type { Live, Story } from './stories.ts';

type Ask = Extract<Effect, { type: 'ask' }>;
type Open = Extract<Effect, { type: 'open' }>;
type Send = Extract<Effect, { type: 'send' }>;

type RunningPorts = {
  readonly serving: Serving;
  readonly openLeg: OpenLeg;
  readonly clock: Clock;
  readonly place: (wish: Wish) => Choice;
  /** How what was sent to this member ended. */
  readonly judge: (outcome: Outcome) => void;
};

/** What a client proves itself and its request by: hashes of its key, and of method, path and body. */
export type Claim = { readonly owner: string; readonly digest: string };

/** `id`: for the log, and in the answer's own. `arrivedAt`: its request. `createdAt`: unix time, s. `headers`: what the engine gets to see. */
export type About = {
  readonly id: string;
  readonly arrivedAt: Instant;
  readonly createdAt: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly spent?: Spent;
  /** Told when the answer that it goes on with is there. */
  readonly found?: (() => void) | undefined;
  /** The client goes on at another node by itself. */
  readonly resumes: boolean;
  /** By which it will come again. */
  readonly claim: Claim;
  /** Whose part of this node's rooms it takes: the name of its key, or `everyone`. */
  readonly owner: string;
  /** A stream's new id; of a request that is answered once, always the same one. */
  readonly stream: string;
  /** Its answer is given once, however often it is asked for. */
  readonly once: boolean;
  /** It goes on with an answer that it has the beginning of; null: it is new. */
  readonly place: ClientPlace | null;
};

/** `attempt`: how often its client has asked to go on with this answer by now; null: it does not count. */
export type ClientPlace = Place & { readonly attempt: number | null };

/** One of them ends every answer that began. */
const endings: ReadonlySet<string> = new Set([
  ...['stream.finished', 'stream.failed', 'stream.abandoned', 'stream.entryLost', 'stream.handedOver'],
]);

/** What an answer goes out by. */
export type WayOut = {
  readonly client: ClientEnd;
  readonly gate: Gate;
  readonly protection: Protection;
  /** Begins what is told of it to people, who is called to see how it stands; null: nobody is to hear of it. */
  readonly begin: ((look: () => Live) => Story) | null;
  /** When its head goes out without an event; never: with the first one. */
  readonly headBy: Instant;
};

/** How long what has ended may still be asked for, ms: its last event may have been lost. */
const lingerMs = 60_000;

export class Running {
  readonly #ports: RunningPorts;
  readonly #way: WayOut;
  readonly #about: About;
  readonly #model: string;
  readonly #driven: Driven<AnswerState, Event>;
  /** Of each choice the newest one, perhaps ended. */
  readonly #legs: OpenedLeg[] = [];
  /** Of them, who said something last, or was asked. */
  #heard: OpenedLeg | null = null;
  readonly #story: Story | null;
  /** Why its client got no answer; null: it got one. */
  #refused: string | null = null;
  /** Who said what its client is told first, and whether that is out. */
  #by: MemberId | null = null;
  #isOut = false;
  readonly #pace: Pace;
  /** This node relays no longer. */
  #isCut = false;
  /** What its client hears by a status, of whom nothing has come here to the place where it is; null: nothing yet. */
  #instead: Refusal | null = null;
  /** Since it was last seen to. */
  #hasSpoken = false;
  readonly #charge: (tokens: number) => void;
  readonly #headNow = (): AnswerHead => this.#headBy(this.#by);
  readonly #tell = (event: ClientEvent): void => {
    const isFirst = !this.#isOut;
    this.#isOut = true;
    this.#hasSpoken = true;
    this.#way.client.send(event, this.#headNow);
    if (isFirst) this.#pace.begin(event, machine.waysOf(this.#driven.state()));
  };

  constructor(initial: AnswerState, way: WayOut, about: About, ports: RunningPorts) {
    this.#ports = ports;
    this.#way = way;
    this.#about = about;
    this.#charge = inSteps(about.spent);
    this.#model = initial.model;
    const { id: request, arrivedAt, place } = about;
    const had = way.begin === null ? 'all' : place === null ? 'nothing' : 'beginning';
    this.#pace = new Pace({ request, arrivedAt, model: this.#model, had }, ports);
    const step: typeof machine.step = (state, event, now) => this.#step(state, event, now);
    const guarded = { step, deadline: machine.deadline, wake: machine.wake };
    this.#driven = drive<AnswerState, Event, Effect>(guarded, initial, ports.clock, (effect) =>
      this.#do(effect),
    );
    way.gate.onFenced = () => this.#driven.deliver({ type: 'taken' });
    way.gate.onOutgrown = () => ports.serving.report({ fact: 'stream.outgrown', request: about.id });
    this.#story = way.begin?.(() => this.#look()) ?? null;
  }

  begin(): void {
    this.#driven.deliver({ type: 'begin' });
  }

  /**
   * To be called now and then: what waits between us and the client cuts a connection on which nothing moves. Said only
   * while an engine is at it, because who hears nothing may do better at another node.
   */
  keepOpen(): void {
    const { client, headBy } = this.#way;
    const wasSilent = !this.#hasSpoken;
    this.#hasSpoken = false;
    const mayBegin = this.#isOut || this.#ports.clock.now() >= headBy;
    if (!wasSilent || !mayBegin || !machine.isServed(this.#driven.state())) return;
    client.comment(() => this.#headBy(this.#heard?.member ?? null));
  }

  move(member: MemberId, cause: MoveCause): void {
    // A stream hears of every member that moves.
    if (!this.#legs.some((leg) => leg.member === member)) return;
    const elsewhere =
      this.#ports.serving.model(this.#model)?.ready.some((candidate) => candidate.member !== member) ?? false;
    this.#driven.deliver({ type: 'move', member, cause, elsewhere });
  }

  /** It is suspect no more. */
  #isTrusted({ member, cause }: Extract<Effect, { type: 'ask-again' }>): boolean {
    const ready = this.#ports.serving.model(this.#model)?.ready ?? [];
    return cause === 'suspect' && ready.some((one) => one.member === member);
  }

  /** Breaks off what runs on this member, as if its connection had. */
  breakOff(member: MemberId): void {
    for (const leg of this.#legs.filter((one) => one.member === member && !one.ended)) {
      leg.end();
      this.#driven.deliver({ type: 'ended', leg: leg.number, cause: 'reset' });
    }
  }

  cut(): void {
    this.#isCut = true;
    this.#driven.deliver({ type: 'cut', resumes: this.#about.resumes && this.#way.gate.log !== null });
  }

  clientLeft(): void {
    this.#driven.deliver({ type: 'client-left' });
    this.#driven.stop();
    this.#way.gate.shut();
    this.#way.gate.log?.end(lingerMs);
    this.#story?.end('refused', this.#refused);
  }

  /** The same once more, for a client that was told it before. */
  say(events: readonly Said[]): void {
    for (const said of events) this.#send(said);
  }

  /** What it goes on with is not what its client has: that client hears of it, and not of how it ended for others. */
  diverge(): void {
    this.#instead = brokenOff('mismatch');
    this.#driven.deliver({ type: 'diverged' });
  }

  /** A defect of ours costs the generation that found it: what an engine says ends no node. */
  #step(state: AnswerState, event: Event, now: Instant): readonly [AnswerState, readonly Effect[]] {
    try {
      return machine.step(state, event, now);
    } catch (error) {
      this.#stumble(error);
      return machine.step(state, { type: 'stumbled' }, now);
    }
  }

  #do(effect: Effect): void {
    try {
      this.#perform(effect);
    } catch (error) {
      this.#stumble(error);
      this.#driven.deliver({ type: 'stumbled' });
    }
  }

  #stumble(error: unknown): void {
    const why = messageOf(error);
    this.#ports.serving.report({ fact: 'request.stumbled', request: this.#about.id, why });
  }

  #perform(effect: Effect): void {
    switch (effect.type) {
      case 'open':
        return this.#open(effect);
      case 'abort':
        return this.#legOf(effect.leg)?.abort();
      case 'ask':
        return this.#ask(effect);
      case 'doubt':
        this.#judge(true, this.#legs.filter(({ member }) => member === effect.member).slice(0, 1));
        return this.#ports.serving.doubt(effect.member);
      case 'ask-again':
        return this.#isTrusted(effect) ? undefined : this.move(effect.member, effect.cause);
      case 'log':
        return this.#way.gate.write(effect.records);
      case 'send':
        return this.#send(effect);
      case 'close':
        return this.#close();
      case 'answer':
        return this.#answer(effect);
      case 'refuse':
        // Who comes again is to begin again.
        this.#way.gate.log?.end(0);
        this.#about.spent?.(0);
        this.#refused = effect.refusal.complaint.code;
        return this.#way.client.refuse(effect.refusal);
      case 'fact':
        if (effect.fact.fact === 'stream.finished') this.#judge(false);
        if ('tokens' in effect.fact && endings.has(effect.fact.fact)) this.#settle(effect.fact.tokens);
        this.#story?.hear(effect.fact);
        return this.#pace.tell(effect.fact);
    }
  }

  #open({ leg, request, avoid, urgent }: Open): void {
    const choice = this.#ports.place({ avoid, urgent });
    if (choice.type === 'none') return this.#driven.deliver({ type: 'unplaced', leg, why: choice.why });
    const { serving, openLeg, clock } = this.#ports;
    const { member } = choice;
    const opened = new OpenedLeg({ number: leg, member }, serving, clock.now());
    this.#legs[machine.choiceOf(this.#driven.state(), leg)] = opened;
    this.#heard = opened;
    // It may be asked something at once.
    this.#driven.deliver({ type: 'placed', leg, member });
    const news = (heard: LegNews): void => this.#onNews(heard, leg, opened);
    const { headers, owner } = this.#about;
    const to = { member, headers, owner };
    const running = openLeg(to, request, { news, load: (load) => serving.heardLoad(member, load) });
    if (running === null) return news({ type: 'unreached', why: 'no connection', fault: 'engine' });
    opened.run(running);
  }

  /** Answered once; whatever keeps the answer from coming is the leg's loss. */
  #ask({ leg, request }: Ask): void {
    const asked = this.#legOf(leg);
    if (asked === undefined) return;
    const { headers, owner } = this.#about;
    const to = { member: asked.member, headers, owner };
    const news = (heard: LegNews): void => {
      asked.question = null;
      const [status, body] = heard.type === 'answer' ? [heard.status, heard.body] : [0, ''];
      this.#driven.deliver({ type: 'told', leg, status, body });
    };
    const load = (): void => {};
    asked.question = this.#ports.openLeg(to, request, { news, load });
    if (asked.question === null) this.#driven.deliver({ type: 'told', leg, status: 0, body: '' });
  }

  #onNews(news: LegNews, leg: number, opened: OpenedLeg): void {
    this.#heard = opened;
    // As nearly all news is.
    if (news.type === 'item' && news.item.type === 'chunk') {
      this.#driven.deliver({ type: 'item', leg, item: news.item });
      return this.#charge(machine.tokensOf(this.#driven.state()));
    }
    const isReset = news.type === 'ended' && news.cause === 'reset';
    const isGone = news.type === 'unreached' && news.fault === 'member';
    if (isReset || isGone) this.#ports.serving.suspect(opened.member, news.why);
    if (isFailure(news)) this.#ports.judge({ member: opened.member, failed: true, begunAt: opened.begunAt });
    if (news.type !== 'item' && news.type !== 'answered') opened.end();
    this.#driven.deliver(eventOf(news, leg));
  }

  /** What is passed on in one piece may not say it. */
  #settle(tokens: number): void {
    if (tokens > 0) this.#about.spent?.(tokens);
  }

  #judge(failed: boolean, legs: readonly OpenedLeg[] = this.#legs): void {
    for (const { member, begunAt } of legs) this.#ports.judge({ member, failed, begunAt });
  }

  /** undefined: none was opened. */
  #legOf(leg: number): OpenedLeg | undefined {
    return this.#legs[machine.choiceOf(this.#driven.state(), leg)];
  }

  #send(said: Omit<Send, 'type'>): void {
    const { refusal } = said;
    if (refusal !== undefined && this.#isOwedPlace()) this.#instead ??= refusal;
    if (this.#instead !== null) return;
    if (!this.#isOut) this.#by = this.#heard?.member ?? null;
    this.#way.gate.say(said, this.#tell);
  }

  /** It goes on with an answer, and has not come to where its client is. */
  #isOwedPlace(): boolean {
    return this.#way.gate.isSwallowing && !this.#isOut;
  }

  /** An end that comes before the place where the client is belongs to another answer, unless we made it. */
  #close(): void {
    const { gate, client } = this.#way;
    const log = gate.log;
    gate.finish(() => {
      // Where an error was told already, that was the last word.
      if (this.#isOwedPlace()) this.#instead ??= brokenOff('mismatch');
      if (this.#instead !== null) client.refuse(this.#isCut ? entryLeaves : this.#instead);
      else client.close();
      log?.end(lingerMs);
    });
  }

  #answer({ status, body }: WholeAnswer): void {
    const { gate, client } = this.#way;
    const by = this.#heard?.member ?? null;
    if (status >= 300) {
      this.#about.spent?.(0);
      this.#refused = `status ${status}`;
      gate.log?.end(0);
    } else if (gate.log !== null) gate.append(answerBytes({ type: 'answer', status, body }), true);
    const log = gate.log;
    gate.finish(() => {
      client.answer({ status, body }, this.#headBy(by));
      log?.end(lingerMs);
    });
  }

  #look(): Live {
    const { gate } = this.#way;
    const state = this.#driven.state();
    return {
      ...{ ways: machine.waysOf(state), tokens: machine.tokensOf(state) },
      serving: this.#heard?.member ?? null,
      ...{ replicas: gate.log?.holders() ?? [], copies: gate.copies },
    };
  }

  /** When it goes out: until then there may be more copies. */
  #headBy(by: MemberId | null): AnswerHead {
    const { gate, protection } = this.#way;
    const stream = gate.log === null ? null : { id: gate.log.id, copies: gate.copies };
    return { by, protection, stream };
  }
}
