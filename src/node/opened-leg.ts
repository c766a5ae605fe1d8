/** A request to one engine as whoever opened it keeps it: what was sent where, and what its end says of the member. */
import type { MemberId } from '../std/member-id.ts';
import type { Instant } from '../std/time.ts';
import type { Event } from '../stream/events.ts';
import type { Leg, LegNews } from './leg.ts';
import type { Serving } from './serving.ts';

/** Of the member or its engine. What the request itself has earned is none, nor is a word that nothing is taken now. */
export function isFailure(news: LegNews): boolean {
  switch (news.type) {
    case 'unreached':
      return news.fault !== null;
    case 'answered':
      return false;
    case 'engine-dead':
      return true;
    case 'item':
      return news.item.type === 'error' || news.item.type === 'nonsense';
    case 'answer':
      return news.status >= 500;
    case 'ended':
      return news.cause === 'reset' || news.cause === 'nonsense';
  }
}

export function eventOf(news: LegNews, leg: number): Event {
  switch (news.type) {
    case 'unreached':
    case 'engine-dead':
      return { type: news.type, leg };
    case 'ended':
      return { type: 'ended', leg, cause: news.cause };
    case 'answered':
    case 'item':
    case 'answer':
      return { ...news, leg };
  }
}

/** One leg's place in the accounts: what was sent where, and whether it runs on our own engine. */
export class OpenedLeg {
  /** As the generation machine knows it. */
  readonly number: number;
  readonly member: MemberId;
  readonly begunAt: Instant;
  /** Asked of the same member besides. */
  question: Leg | null = null;
  ended = false;
  readonly #accounts: readonly (() => void)[];
  #leg: Leg | null = null;

  constructor(
    { number, member }: { readonly number: number; readonly member: MemberId },
    serving: Serving,
    begunAt: Instant,
  ) {
    this.number = number;
    this.member = member;
    this.begunAt = begunAt;
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

  /** The same, and what was asked besides. */
  abort(): void {
    this.question?.abort();
    this.question = null;
    this.end();
  }
}
