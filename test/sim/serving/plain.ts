/**
 * A client that knows one node and nothing of logs: any HTTP client. What it has is what came out of its socket, and that
 * its node is gone its own kernel tells it: by a reset, or because nobody answers a keepalive.
 */
import type { SimClient } from './client.ts';
import type { Call, Told } from './front.ts';
import type { Station } from './station.ts';
import type { Place, Wire, Wires } from './wires.ts';

/** Linux sends a SYN again after each second at first; whoever has not answered by then is given up. ms */
const synAtMs = [0, 1_000, 2_000, 3_000, 4_000];
const metMs = 7_000;
/** TCP keepalive, as clients of an API that thinks for long set it, ms. */
const aliveMs = 10_000;

type Ports = { readonly place: Place; readonly wires: Wires; readonly now: () => number };

export class PlainClient {
  readonly #client: SimClient;
  readonly #ports: Ports;
  #wire: Wire | null = null;
  #isOver = false;

  constructor(client: SimClient, ports: Ports) {
    this.#client = client;
    this.#ports = ports;
    client.onGone(() => {
      this.#isOver = true;
      this.#wire?.abort();
    });
  }

  ask(to: Station): void {
    for (const ms of synAtMs) this.#after(ms, () => this.#dial(to));
    this.#after(metMs, () => {
      if (this.#wire === null) this.#client.finish('turned-away');
    });
  }

  #dial(to: Station): void {
    if (this.#wire !== null) return;
    const { place, wires } = this.#ports;
    wires.dial(place, to.place, {
      met: (theirs) => to.front.accept(theirs),
      done: (ours) => {
        if (this.#isOver || this.#wire !== null) return ours?.abort();
        if (ours === null) return this.#client.finish('turned-away');
        this.#wire = ours;
        ours.ears = {
          heard: (told) => this.#hear(told as Told),
          lost: () => this.#client.finish('lost'),
        };
        ours.send(callOf(this.#client));
        ours.keepAlive(aliveMs);
      },
    });
  }

  #hear(told: Told): void {
    if (this.#isOver) return;
    switch (told.type) {
      case 'event':
        return this.#client.send(told.event);
      case 'end':
        return this.#client.close();
      case 'whole':
        return this.#client.answer(told.whole);
      case 'refused':
        return this.#client.refuse(told.refusal);
    }
  }

  #after(ms: number, act: () => void): void {
    const { place, now } = this.#ports;
    place.process.receive(now() + ms, () => {
      if (!this.#isOver) act();
    });
  }
}

function callOf({ id, asked }: SimClient): Call {
  const stream = `stream-of-client-${id}`.padEnd(22, '-');
  const about = {
    ...{ id, headers: { 'x-request-id': id }, claim: { owner: id, digest: id }, stream },
    ...{ once: false, resumes: false, createdAt: 0, owner: '' },
  };
  return { type: 'call', asked, about, lastEventId: null, attempt: null };
}
