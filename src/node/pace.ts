/** How soon and how fast a client is told its answer: for the facts of it. Of an event it asks no more than whether it is the first. */
import type { Instant } from '../std/time.ts';
import type { StreamFact } from '../stream/events.ts';
import type { Fact } from './facts.ts';
import type { ClientEvent } from './gate.ts';
import type { Clock } from './ports.ts';
import type { Serving } from './serving.ts';

type Ports = { readonly clock: Clock; readonly serving: Pick<Serving, 'report'> };

type Paced = {
  readonly request: string;
  readonly model: string;
  readonly arrivedAt: Instant;
  /** The client has the beginning of it from another node. */
  readonly isRest: boolean;
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

  /** Of all that this node tells it, the first. */
  begin({ id }: ClientEvent): void {
    this.#hasBegun = true;
    const { isRest, arrivedAt, request, model } = this.#paced;
    // What has no id is an error.
    if (isRest || id === null) return;
    const { clock, serving } = this.#ports;
    this.#begunAt = clock.now();
    serving.report({ fact: 'stream.begun', model, ttftMs: this.#begunAt - arrivedAt, request });
  }

  /** A fact of the answer, as it is reported. */
  told(fact: StreamFact): Fact {
    const { request } = this.#paced;
    if (fact.fact === 'stream.moved') return { ...fact, begun: this.#hasBegun, request };
    if (fact.fact !== 'stream.finished' || this.#begunAt === null || fact.tokens < 2)
      return { ...fact, request };
    const perTokenMs = (this.#ports.clock.now() - this.#begunAt) / (fact.tokens - 1);
    return { ...fact, perTokenMs, request };
  }
}
