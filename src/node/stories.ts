/**
 * What became of the streams that entered here: those that run, and the last ones that ended. Kept for people who ask
 * why a stream paused or broke off, so it holds names, counts and times, and never a word of a prompt or an answer.
 */
import type { MemberId } from '../std/member-id.ts';
import { FleetingSet } from '../std/fleeting.ts';
import type { Instant } from '../std/time.ts';
import type { StreamFact, Way } from '../stream/events.ts';
import type { Protection } from '../stream/protection.ts';
import type { Clock } from './ports.ts';
import type { Step, StreamStory } from './stream-explanation.ts';

/** Streams that ended and can still be asked for: some minutes of a busy node, at a kilobyte each. */
const endedMax = 1_000;
/** Of one stream; the oldest are forgotten first. */
const stepsMax = 32;

type About = {
  readonly stream: string;
  readonly request: string;
  readonly model: string;
  readonly protection: Protection;
  readonly resumed: boolean;
};

/** What changes all the time, and is looked at only when somebody asks. */
export type Live = {
  /** Of each choice that goes on by itself; one at least. */
  readonly ways: readonly Way[];
  readonly tokens: number;
  readonly serving: MemberId | null;
  readonly replicas: readonly MemberId[];
  readonly copies: number;
};

export type Stories = {
  /** `look`: asked until the story ends. */
  begin(about: About, look: () => Live): Story;
  /** By the id of the stream, of the request, or of the answer that an engine names after the request. */
  find(id: string): readonly StreamStory[];
};

export function openStories(self: MemberId, clock: Clock): Stories {
  const running = new FleetingSet<Story>();
  /** A ring: the oldest is overwritten. */
  const ended: Story[] = [];
  let next = 0;
  const keep = (story: Story): void => {
    ended[next] = story;
    next = (next + 1) % endedMax;
  };
  return {
    begin: (about, look) => {
      const end = (): void => {
        gone();
        keep(story);
      };
      const story = new Story({ self, about, clock, look, end });
      const gone = running.add(story);
      return story;
    },
    find: (id) => {
      const bare = id.replace(/^(chat)?cmpl-/, '');
      return [...running.all(), ...ended]
        .filter((story) => story.isOf(id, bare))
        .map((story) => story.told());
    },
  };
}

/** The facts of one stream in their order. */
export class Story {
  readonly #self: MemberId;
  readonly #about: About;
  readonly #clock: Clock;
  readonly #begunAt: Instant;
  readonly #onEnd: () => void;
  readonly #steps: { readonly at: Instant; readonly step: Step }[] = [];
  #look: () => Live;
  #state = 'running';
  #why: string | null = null;
  #endedAt: Instant | null = null;

  constructor(options: {
    readonly self: MemberId;
    readonly about: About;
    readonly clock: Clock;
    readonly look: () => Live;
    readonly end: () => void;
  }) {
    this.#self = options.self;
    this.#about = options.about;
    this.#clock = options.clock;
    this.#look = options.look;
    this.#onEnd = options.end;
    this.#begunAt = options.clock.now();
  }

  hear(fact: StreamFact): void {
    switch (fact.fact) {
      case 'stream.moved': {
        const { from, to, way, cause, tokens, stallMs, choice = null } = fact;
        return this.#add({ type: 'moved', choice, from, to, way, cause, tokens, stallMs, ageMs: 0 });
      }
      case 'stream.unanswered': {
        const { member, cause, waitedMs, choice = null } = fact;
        return this.#add({ type: 'unanswered', choice, member, cause, waitedMs, ageMs: 0 });
      }
      case 'stream.failed':
        return this.end('failed', fact.cause);
      case 'stream.handedOver':
        return this.end('handedOver', fact.why);
      case 'stream.finished':
      case 'stream.abandoned':
      case 'stream.entryLost':
        return this.end(fact.fact.slice('stream.'.length), null);
    }
  }

  /** The first end is the one that counts. What it was looked at by is let go of: it holds the whole answer. */
  end(state: string, why: string | null): void {
    if (this.#endedAt !== null) return;
    [this.#state, this.#why, this.#endedAt] = [state, why, this.#clock.now()];
    const last = this.#look();
    this.#look = () => last;
    this.#onEnd();
  }

  isOf(id: string, bare: string): boolean {
    return this.#about.stream === id || this.#about.request === id || this.#about.request === bare;
  }

  told(): StreamStory {
    const { protection, ...about } = this.#about;
    const { replicas, ways, ...live } = this.#look();
    const now = this.#clock.now();
    const age = (at: Instant): number => Math.round(now - at);
    return {
      ...{ entry: this.#self, ...about, state: this.#state, why: this.#why, protected: protection },
      ...{ ...live, way: ways[0]!, ways: [...ways], replicas: [...replicas], begunMs: age(this.#begunAt) },
      endedMs: this.#endedAt === null ? null : age(this.#endedAt),
      steps: this.#steps.map(({ at, step }) => ({ ...step, ageMs: age(at) })),
    };
  }

  #add(step: Step): void {
    this.#steps.push({ at: this.#clock.now(), step });
    if (this.#steps.length > stepsMax) this.#steps.shift();
  }
}
