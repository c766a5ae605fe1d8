/**
 * The serving side of a node: takes connections of other nodes and passes their requests on to the engine beside it, as
 * the daemon's listener does. Which are taken, and what is said when an answer breaks off, the node's own code decides.
 */
import { lossOf, openPassages, type Passage, type Passages } from '../../../src/node/passages.ts';
import type { Serving } from '../../../src/node/serving.ts';
import type { SimEngine, Ask, Reply } from './engine.ts';
import type { Journals } from '../../../src/node/journals.ts';
import type { JournalAsk, JournalReply } from './journal.ts';
import { aliveMs, connectEngine } from './legs.ts';
import type { Place, Wire, Wires } from './wires.ts';

/**
 * How long a connection may be idle. Nodes of ours outlast who asks, so that closing one is never a race; something
 * between two nodes may have less patience, and then who asks meets a connection that is there for it alone.
 */
export const idleMs = { usual: 70_000, hasty: 2_000 };

type InletPorts = {
  readonly idleMs: number;
  readonly wires: Wires;
  readonly now: () => number;
  readonly engine: () => SimEngine | null;
  readonly serving: Serving;
  readonly journals: Journals;
};

export type Inlet = { accept(wire: Wire): void; close(): void };

export function openInlet(place: Place, ports: InletPorts): Inlet {
  const passages = openPassages(ports.serving);
  return {
    accept: (wire) => {
      let running: SimPassage | null = null;
      let heardAt = ports.now();
      const closeWhenIdle = (): void =>
        place.process.receive(ports.now() + ports.idleMs, () => {
          const busyAt = Math.max(heardAt, running?.busyAt ?? heardAt);
          if (wire.open && ports.now() - busyAt < ports.idleMs) closeWhenIdle();
          else wire.abort();
        });
      wire.keepAlive(aliveMs);
      closeWhenIdle();
      wire.ears = {
        heard: (message) => {
          heardAt = ports.now();
          const said = message as Ask | JournalAsk;
          if (said.type === 'journal') answerJournal(said, wire);
          else running = take(said, wire);
        },
        lost: () => running?.abandon(),
      };
    },
    close: () => passages.close(),
  };

  function answerJournal({ from, bytes }: JournalAsk, wire: Wire): void {
    wire.send({ type: 'journal', bytes: ports.journals.answer(from, bytes) } satisfies JournalReply);
  }

  function take({ request }: Ask, wire: Wire): SimPassage | null {
    const refused = passages.refusal(true);
    if (refused !== null) {
      wire.send(refusal(refused));
      return null;
    }
    const passage = new SimPassage(wire, request.streamed, ports);
    passage.begin(passages);
    connectEngine(place, ports, {
      run: (engine) => passage.run(engine, { type: 'request', request }),
      fail: () => passage.breakOff('ECONNREFUSED'),
    });
    return passage;
  }
}

const refusal = (refused: string): Reply => ({
  ...{ type: 'whole', status: 503, body: '{}', refused, load: null },
});

const badGateway = (why: string): Reply => ({
  ...{ type: 'whole', status: 502, body: JSON.stringify({ error: why }), refused: null, load: null },
});

class SimPassage implements Passage {
  readonly #wire: Wire;
  readonly #isStream: boolean;
  readonly #serving: Serving;
  readonly #now: () => number;
  #endedAt: number | null = null;
  #ended: () => void = () => {};
  #engine: Wire | null = null;
  #headSent = false;
  #over = false;

  constructor(wire: Wire, isStream: boolean, { serving, now }: Pick<InletPorts, 'serving' | 'now'>) {
    this.#wire = wire;
    this.#isStream = isStream;
    this.#serving = serving;
    this.#now = now;
  }

  /** Until when its connection was not idle. */
  get busyAt(): number {
    return this.#endedAt ?? this.#now();
  }

  begin(passages: Passages): void {
    this.#ended = passages.begin(this, 'generation');
  }

  run(engine: Wire, ask: Ask): void {
    if (this.#over) return engine.abort();
    this.#engine = engine;
    engine.ears = {
      heard: (message) => this.#pass(message as Reply),
      lost: () => this.breakOff('ECONNRESET'),
    };
    engine.send(ask);
  }

  /** The entry node has gone, or has had enough. */
  abandon(): void {
    if (this.#over) return;
    this.#finish();
    this.#engine?.abort();
  }

  breakOff(why: string): void {
    if (this.#over) return;
    const begun = this.#engine !== null;
    const loss = lossOf({ begun, headSent: this.#headSent, isStream: this.#isStream });
    if (loss === 'end') this.#wire.send({ type: 'end' } satisfies Reply);
    else if (loss === 'destroy') this.#wire.abort();
    else if (loss === 'refuse') this.#wire.send(refusal('engine-unreached'));
    else this.#wire.send(badGateway(why));
    this.#finish();
    this.#engine?.abort();
  }

  #pass(reply: Reply): void {
    if (this.#over) return;
    const hasHead = reply.type === 'head' || reply.type === 'whole';
    this.#headSent ||= hasHead;
    this.#wire.send(hasHead ? { ...reply, load: this.#serving.localLoad() } : reply);
    if (reply.type !== 'end' && reply.type !== 'whole') return;
    this.#finish();
    this.#engine?.abort();
  }

  #finish(): void {
    this.#over = true;
    this.#endedAt = this.#now();
    this.#ended();
  }
}
