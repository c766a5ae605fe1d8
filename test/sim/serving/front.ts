/** Where clients from outside reach a node: what the daemon's gateway does with a connection, without HTTP. */
import type { ClientEvent } from '../../../src/node/gate.ts';
import type { Asked, Generations } from '../../../src/node/generations.ts';
import type { Clock } from '../../../src/node/ports.ts';
import type { ClientEnd, WholeAnswer } from '../../../src/node/client-end.ts';
import type { About } from '../../../src/node/running.ts';
import { placeFrom } from '../../../src/stream/mark.ts';
import { entryLeaves, streamGone, type Refusal } from '../../../src/stream/refusal.ts';
import type { Sabotage } from '../sabotage.ts';
import { sabotagedClient, sabotagedPlace } from './sabotage.ts';
import type { Place, Wire } from './wires.ts';

/** `lastEventId`: of the answer that it has the beginning of; null: it has nothing. `attempt`: to go on with it. */
export type Call = {
  readonly type: 'call';
  readonly asked: Asked;
  readonly about: Omit<About, 'place' | 'arrivedAt'>;
  readonly lastEventId: string | null;
  readonly attempt: number | null;
};

export type Told =
  | { readonly type: 'event'; readonly event: ClientEvent }
  | { readonly type: 'end' }
  | { readonly type: 'whole'; readonly whole: WholeAnswer }
  | { readonly type: 'refused'; readonly refusal: Refusal };

export type Front = {
  accept(wire: Wire): void;
  /** Clients that are being told something. */
  count(): number;
};

type FrontPorts = {
  readonly generations: Generations;
  readonly now: () => number;
  /** The node's own. */
  readonly clock: Clock;
  readonly sabotage: Sabotage | null;
};

export function openFront(place: Place, { generations, now, clock, sabotage }: FrontPorts): Front {
  const open = new Set<Wire>();
  const accept = (wire: Wire): void => {
    let leave = (): void => {};
    const gone = (): void => {
      const left = leave;
      leave = () => {};
      open.delete(wire);
      left();
    };
    const last = (told: Told): void => {
      wire.send(told);
      // As when the response is written out.
      place.process.receive(now(), gone);
    };
    const client: ClientEnd = {
      send: (event) => wire.send({ type: 'event', event } satisfies Told),
      // No connection here is cut for its silence.
      comment: () => {},
      close: () => last({ type: 'end' }),
      answer: (whole) => last({ type: 'whole', whole }),
      refuse: (refusal) => last({ type: 'refused', refusal }),
    };
    wire.ears = {
      heard: (message) => {
        const { asked, about, lastEventId, attempt } = message as Call;
        const from = lastEventId === null ? null : placeFrom(lastEventId);
        if (!generations.admission(about.owner).open) return client.refuse(entryLeaves);
        if (lastEventId !== null && from === null) return client.refuse(streamGone);
        open.add(wire);
        const place = sabotagedPlace(from, sabotage);
        const coming = { arrivedAt: clock.now(), place: place && { ...place, attempt } };
        leave = generations.begin(asked, sabotagedClient(client, from, sabotage), { ...about, ...coming });
      },
      lost: gone,
    };
  };
  return { accept, count: () => open.size };
}
