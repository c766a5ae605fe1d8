/**
 * What the machines of a cluster ask of the world outside: whom EC2 lists, whether somebody can be connected with, and
 * what a kernel answers. Each question has its time, and comes back as an event of the machine that asked. It decides
 * nothing; closed, it gives up whatever it waits for.
 */
import type { Event as DiscoveryEvent } from '../discovery/events.ts';
import type { Effect as MembershipEffect, Event as MembershipEvent } from '../membership/events.ts';
import { Failure, messageOf } from '../std/failure.ts';
import { knock } from './knock.ts';
import type { Clock, Cloud, Network, Probe } from './ports.ts';
import { listedFrom, whyNot } from './translation.ts';
import { within } from './within.ts';

const lookMs = 10_000;
const dialMs = 3_000;

type ReachPorts = {
  readonly clock: Clock;
  readonly cloud: Pick<Cloud, 'sightings'>;
  readonly probe: Probe;
};

type ReachEars = {
  /** null until it listens. */
  readonly network: () => Network | null;
  readonly membership: (event: MembershipEvent) => void;
  readonly discovery: (event: DiscoveryEvent) => void;
};

export class Reach {
  /** Once EC2 has been asked for the first time, whatever it said, or a member is there that was remembered. */
  readonly looked: Promise<void>;
  /** Once it has answered, or such a member is there. */
  readonly informed: Promise<void>;
  readonly #ports: ReachPorts;
  readonly #ears: ReachEars;
  readonly #firstLook = Promise.withResolvers<void>();
  readonly #firstAnswer = Promise.withResolvers<void>();
  #isMet = false;
  readonly #stopping = new AbortController();

  constructor(ports: ReachPorts, ears: ReachEars) {
    this.#ports = ports;
    this.#ears = ears;
    this.looked = this.#firstLook.promise;
    this.informed = this.#firstAnswer.promise;
  }

  get isClosed(): boolean {
    return this.#stopping.signal.aborted;
  }

  async look(): Promise<void> {
    const { cloud } = this.#ports;
    try {
      const sightings = await this.#within(lookMs, (signal) => cloud.sightings(signal));
      this.#ears.discovery({ type: 'looked', listed: sightings.map(listedFrom) });
      this.#firstAnswer.resolve();
    } catch (error) {
      const kind = error instanceof Failure ? error.kind : 'unreachable';
      this.#ears.discovery({ type: 'look-failed', kind, why: messageOf(error) });
    }
    this.#firstLook.resolve();
  }

  async dial({ id, wary, ...peer }: Extract<MembershipEffect, { type: 'dial' }>): Promise<void> {
    const { peerId } = peer;
    const missed = wary ? await knock(this.#ports.probe, peer.address) : null;
    if (missed !== null) return this.#ears.membership({ type: 'dial-failed', id, peerId, why: missed });
    try {
      await this.#within(dialMs, async (signal) => this.#ears.network()?.dial(peer, signal));
    } catch (error) {
      this.#ears.membership({ type: 'dial-failed', id, peerId, why: whyNot(error) });
    }
  }

  /** Two SYNs, because one may be lost. A question that could not be put has no outcome. */
  async probe({
    id,
    address,
    round,
    ms,
    standMs,
  }: Extract<MembershipEffect, { type: 'probe' }>): Promise<void> {
    const { probe } = this.#ports;
    const asked = await Promise.allSettled([
      probe(address, { ms, standMs }),
      probe(address, { ms, standMs }),
    ]);
    const outcomes = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    if (outcomes.length > 0) this.#ears.membership({ type: 'probed', id, round, outcomes });
  }

  /** Somebody is there before EC2 was asked: nobody need wait for its answer. */
  meet(): void {
    if (this.#isMet) return;
    this.#isMet = true;
    this.#firstLook.resolve();
    this.#firstAnswer.resolve();
  }

  close(): void {
    this.#stopping.abort();
  }

  #within<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return within({ clock: this.#ports.clock, ms, stopping: this.#stopping.signal }, work);
  }
}
