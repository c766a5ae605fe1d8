/**
 * Every generation whose client is connected here: each is a machine driven against its legs and its client. What
 * happens to many at once comes in here too: a member that drains or dies, our own engine about to stop, the end of
 * this node's relaying.
 */
import type { Dispatcher } from 'undici';
import { drive } from '../node/drive.ts';
import type { Clock } from '../node/ports.ts';
import type { Serving, ServedModel } from '../node/serving.ts';
import { choose } from '../routing/choose.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Rng } from '../std/random.ts';
import type { Instant } from '../std/time.ts';
import type { Effect, Event, MoveCause } from '../stream/events.ts';
import * as generation from '../stream/generation.ts';
import type { State } from '../stream/generation.ts';
import type { GenerationRequest } from '../stream/request.ts';
import { servedByHeader } from './headers.ts';
import { openLeg, type Leg, type LegNews } from './leg.ts';
import type { Outlet } from './outlet.ts';
import { reply, replyJson, retryAfter } from './reply.ts';

export type GenerationPorts = {
  readonly serving: Serving;
  /** Connections to a member's engine; null: there is no way to it just now. */
  readonly dispatcherTo: (member: MemberId) => Dispatcher | null;
  readonly clock: Clock;
  readonly rng: Rng;
};

export type Generations = {
  /** Answers one request. `id`: for the log. `headers`: what the engine gets to see. */
  begin(request: GenerationRequest, outlet: Outlet, about: About): void;
  count(): number;
  /** Ends every stream by an error event: their clients are lost with this node. */
  cut(): void;
  close(): void;
};

type About = { readonly id: string; readonly headers: Readonly<Record<string, string>> };

type Running = {
  deliver(event: Event): void;
  readonly model: string;
  /** Breaks off whatever runs on this member, as if its connection had. */
  breakOff(member: MemberId): void;
};

export function openGenerations({ serving, dispatcherTo, clock, rng: seed }: GenerationPorts): Generations {
  const running = new Set<Running>();
  let rng = seed;
  let disarm = (): void => {};

  const standingOf = (model: string): ServedModel | null =>
    serving.models().find(({ id }) => id === model) ?? null;
  const isElsewhere = (model: string, member: MemberId): boolean =>
    standingOf(model)?.ready.some((candidate) => candidate.member !== member) ?? false;
  const moveEvent = (model: string, member: MemberId, cause: MoveCause): Event => ({
    type: 'move',
    member,
    cause,
    elsewhere: isElsewhere(model, member),
  });

  function place(model: string, { avoid, urgent }: Extract<Effect, { type: 'open' }>) {
    const [choice, next] = choose(standingOf(model), { avoid, urgent }, rng);
    rng = next;
    return choice;
  }

  function cut(): void {
    for (const one of [...running]) one.deliver({ type: 'cut' });
  }

  function onRelayEnd(at: Instant): void {
    disarm();
    disarm = (): void => {};
    if (at <= clock.now()) cut();
    else disarm = clock.wakeAt(at, cut);
  }

  function begin(request: GenerationRequest, outlet: Outlet, about: About): void {
    const { model } = request;
    const { response } = outlet;
    let leg: OpenLeg | null = null;
    const left = serving.entered();

    function perform(effect: Effect): void {
      switch (effect.type) {
        case 'open': {
          const choice = place(model, effect);
          if (choice.type === 'none')
            return driven.deliver({ type: 'unplaced', leg: effect.leg, why: choice.why });
          leg = launch(effect, choice.member);
          return;
        }
        case 'abort':
          return leg?.end();
        case 'ask-again':
          return driven.deliver(moveEvent(model, effect.member, effect.cause));
        case 'send':
          return outlet.send(effect.data, servedBy());
        case 'close':
          return outlet.end();
        case 'answer':
          return replyJson(response, effect.status, effect.body, servedBy());
        case 'refuse': {
          const { status, complaint, retryAfterMs } = effect.refusal;
          const headers = retryAfterMs === null ? {} : retryAfter(retryAfterMs);
          return reply(response, { status, complaint, headers });
        }
        case 'fact':
          return serving.report({ ...effect.fact, request: about.id });
      }
    }

    const servedBy = (): Record<string, string> => (leg === null ? {} : { [servedByHeader]: leg.member });

    function launch(open: Extract<Effect, { type: 'open' }>, member: MemberId): OpenLeg {
      driven.deliver({ type: 'placed', leg: open.leg, member });
      const opened = new OpenLeg(member, serving);
      const dispatcher = dispatcherTo(member);
      const news = (news: LegNews): void => {
        if (news.type === 'unreached' ? news.blame : news.type === 'ended' && news.cause === 'reset')
          serving.suspect(member, 'why' in news ? news.why : '');
        if (news.type !== 'item' && news.type !== 'answered') opened.end();
        driven.deliver(eventOf(news, open.leg));
      };
      if (dispatcher === null) {
        news({ type: 'unreached', why: 'no connection', blame: false });
        return opened;
      }
      const target = { dispatcher, prefix: member === serving.self ? '' : '/engine', headers: about.headers };
      const load = (heard: Parameters<Serving['heardLoad']>[1]): void => serving.heardLoad(member, heard);
      opened.run(openLeg(target, open.request, { news, load }));
      return opened;
    }

    const driven = drive<State, Event, Effect>(
      generation,
      generation.init(request, clock.now()),
      clock,
      perform,
    );
    const one: Running = {
      deliver: driven.deliver,
      model,
      breakOff: (member) => {
        if (leg === null || leg.member !== member || leg.ended) return;
        leg.end();
        driven.deliver({ type: 'ended', leg: driven.state().leg, cause: 'reset' });
      },
    };
    running.add(one);
    response.on('close', () => {
      driven.deliver({ type: 'client-left' });
      driven.stop();
      running.delete(one);
      left();
    });
    driven.deliver({ type: 'begin' });
  }

  const unsubscribe = [
    serving.onMove((member, cause) => {
      for (const one of [...running]) one.deliver(moveEvent(one.model, member, cause));
    }),
    serving.onCut(() => {
      for (const one of [...running]) one.breakOff(serving.self);
    }),
    serving.onRelayEnd(onRelayEnd),
  ];

  return {
    begin,
    count: () => running.size,
    cut,
    close: () => {
      disarm();
      for (const stop of unsubscribe) stop();
    },
  };
}

function eventOf(news: LegNews, leg: number): Event {
  switch (news.type) {
    case 'unreached':
      return { type: 'unreached', leg };
    case 'ended':
      return { type: 'ended', leg, cause: news.cause };
    default:
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
