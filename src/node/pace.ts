/** How soon and how fast a client is told its answer: for the facts of it. Of an event it asks no more than whether it is the first. */
import type { Instant } from '../std/time.ts';
import type { StreamFact, Way } from '../stream/events.ts';
import type { ClientEvent } from './gate.ts';
import type { Clock } from './ports.ts';
import type { Serving } from './serving.ts';

type Ports = { readonly clock: Clock; readonly serving: Pick<Serving, 'report'> };

type Paced = {
  readonly request: string;
  readonly model: string;
  readonly arrivedAt: Instant;
  /** What its client has of it from another node; `all`: it is made again for nobody, up to where the client is. */
  readonly had: 'nothing' | 'beginning' | 'all';
};

export class Pace {
  readonly #paced: Paced;
  readonly #ports: Ports;
  #hasBegun = false;
  /** When the first event went out; null: none has, or what has was no beginning. */
  #begunAt: Instant | null = null;

  constructor(paced: Paced, ports: Ports) {
    this.#paced = paced;
    this.#ports = ports;
  }

  /** Of all that this node tells it, the first. `ways`: how each choice goes on. */
  begin({ id }: ClientEvent, ways: readonly Way[]): void {
    this.#hasBegun = true;
    const { had, arrivedAt, request, model } = this.#paced;
    // What has no id is an error.
    if (id === null || had === 'all') return;
    const { clock, serving } = this.#ports;
    const now = clock.now();
    const ms = now - arrivedAt;
    if (had === 'beginning') {
      const way = [...new Set(ways)].join(' ');
      return serving.report({ fact: 'stream.resumed', model, way, waitMs: ms, request });
    }
    this.#begunAt = now;
    serving.report({ fact: 'stream.begun', model, ttftMs: ms, request });
  }

  /** Reports a fact of the answer. The end of what is made again is none: it lies where the client is. */
  tell(fact: StreamFact): void {
    const { request, had } = this.#paced;
    const { clock, serving } = this.#ports;
    if (fact.fact === 'stream.moved') return serving.report({ ...fact, begun: this.#hasBegun, request });
    if (fact.fact !== 'stream.finished') return serving.report({ ...fact, request });
    if (had === 'all') return;
    const begunAt = fact.tokens < 2 ? null : this.#begunAt;
    const pace = begunAt === null ? {} : { perTokenMs: (clock.now() - begunAt) / (fact.tokens - 1) };
    serving.report({ ...fact, ...pace, request });
  }
}
