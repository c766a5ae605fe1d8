/**
 * One generation whose client is connected here: the machine, driven against its legs on one side and its client on the
 * other. A class because it owns both for as long as the client stays.
 */
import type { Dispatcher } from 'undici';
import { drive, type Driven } from '../node/drive.ts';
import type { Clock } from '../node/ports.ts';
import type { Serving } from '../node/serving.ts';
import type { Choice } from '../routing/choose.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Effect, Event, MoveCause } from '../stream/events.ts';
import * as generation from '../stream/generation.ts';
import type { State } from '../stream/generation.ts';
import type { GenerationRequest } from '../stream/request.ts';
import { servedByHeader } from './headers.ts';
import { openLeg, type Leg, type LegNews } from './leg.ts';
import type { Outlet } from './outlet.ts';
import { reply, replyJson, retryAfter } from './reply.ts';

type Open = Extract<Effect, { type: 'open' }>;

export type RunningPorts = {
  readonly serving: Serving;
  /** Connections to a member's engine; null: there is no way to it just now. */
  readonly dispatcherTo: (member: MemberId) => Dispatcher | null;
  readonly clock: Clock;
  readonly place: (
    model: string,
    wish: { readonly avoid: readonly MemberId[]; readonly urgent: boolean },
  ) => Choice;
};

/** `id`: for the log. `headers`: what the engine gets to see. */
export type About = { readonly id: string; readonly headers: Readonly<Record<string, string>> };

export class Running {
  readonly #ports: RunningPorts;
  readonly #outlet: Outlet;
  readonly #about: About;
  readonly #model: string;
  readonly #driven: Driven<State, Event>;
  /** The newest one, perhaps ended. */
  #leg: OpenLeg | null = null;

  constructor(request: GenerationRequest, outlet: Outlet, about: About, ports: RunningPorts) {
    this.#ports = ports;
    this.#outlet = outlet;
    this.#about = about;
    this.#model = request.model;
    const initial = generation.init(request, ports.clock.now());
    this.#driven = drive<State, Event, Effect>(generation, initial, ports.clock, (effect) =>
      this.#perform(effect),
    );
  }

  begin(): void {
    this.#driven.deliver({ type: 'begin' });
  }

  move(member: MemberId, cause: MoveCause): void {
    const standing = this.#ports.serving.models().find(({ id }) => id === this.#model);
    const elsewhere = standing?.ready.some((candidate) => candidate.member !== member) ?? false;
    this.#driven.deliver({ type: 'move', member, cause, elsewhere });
  }

  /** Breaks off what runs on this member, as if its connection had. */
  breakOff(member: MemberId): void {
    if (this.#leg === null || this.#leg.member !== member || this.#leg.ended) return;
    this.#leg.end();
    this.#driven.deliver({ type: 'ended', leg: this.#driven.state().leg, cause: 'reset' });
  }

  cut(): void {
    this.#driven.deliver({ type: 'cut' });
  }

  clientLeft(): void {
    this.#driven.deliver({ type: 'client-left' });
    this.#driven.stop();
  }

  #perform(effect: Effect): void {
    const { response } = this.#outlet;
    switch (effect.type) {
      case 'open':
        return this.#open(effect);
      case 'abort':
        return this.#leg?.end();
      case 'doubt':
        return this.#ports.serving.doubt(effect.member);
      case 'ask-again':
        return this.move(effect.member, effect.cause);
      case 'send':
        return this.#outlet.send(effect.data, this.#servedBy());
      case 'close':
        return this.#outlet.end();
      case 'answer':
        return replyJson(response, effect.status, effect.body, this.#servedBy());
      case 'refuse': {
        const { status, complaint, retryAfterMs } = effect.refusal;
        const headers = retryAfterMs === null ? {} : retryAfter(retryAfterMs);
        return reply(response, { status, complaint, headers });
      }
      case 'fact':
        return this.#ports.serving.report({ ...effect.fact, request: this.#about.id });
    }
  }

  #open({ leg, request, avoid, urgent }: Open): void {
    const choice = this.#ports.place(this.#model, { avoid, urgent });
    if (choice.type === 'none') return this.#driven.deliver({ type: 'unplaced', leg, why: choice.why });
    const { serving } = this.#ports;
    const { member } = choice;
    this.#driven.deliver({ type: 'placed', leg, member });
    const opened = new OpenLeg(member, serving);
    this.#leg = opened;
    const news = (heard: LegNews): void => this.#onNews(heard, leg, opened);
    const dispatcher = this.#ports.dispatcherTo(member);
    if (dispatcher === null) return news({ type: 'unreached', why: 'no connection', blame: false });
    const prefix = member === serving.self ? '' : '/engine';
    const target = { dispatcher, prefix, headers: this.#about.headers };
    opened.run(openLeg(target, request, { news, load: (load) => serving.heardLoad(member, load) }));
  }

  #onNews(news: LegNews, leg: number, opened: OpenLeg): void {
    const broken = news.type === 'unreached' ? news.blame : news.type === 'ended' && news.cause === 'reset';
    if (broken) this.#ports.serving.suspect(opened.member, 'why' in news ? news.why : '');
    if (news.type !== 'item' && news.type !== 'answered') opened.end();
    this.#driven.deliver(eventOf(news, leg));
  }

  #servedBy(): Record<string, string> {
    return this.#leg === null ? {} : { [servedByHeader]: this.#leg.member };
  }
}

function eventOf(news: LegNews, leg: number): Event {
  switch (news.type) {
    case 'unreached':
      return { type: 'unreached', leg };
    case 'ended':
      return { type: 'ended', leg, cause: news.cause };
    case 'answered':
    case 'item':
    case 'answer':
      return { ...news, leg };
  }
}

/** One leg's place in the accounts: what was sent where, and whether it runs on our own engine. */
class OpenLeg {
  readonly member: MemberId;
  ended = false;
  readonly #accounts: readonly (() => void)[];
  #leg: Leg | null = null;

  constructor(member: MemberId, serving: Serving) {
    this.member = member;
    const own = member === serving.self ? [serving.generating()] : [];
    this.#accounts = [serving.sent(member), ...own];
  }

  run(leg: Leg): void {
    this.#leg = leg;
    if (this.ended) leg.abort();
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.#leg?.abort();
    for (const settle of this.#accounts) settle();
  }
}
