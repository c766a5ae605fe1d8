/**
 * R2: every answer whose entry node lives is whole. Judged by what came out of the client's socket: an end that is none
 * of a whole answer needs a reason that the simulator knows of.
 *
 *   failed          three engines in a row were lost on it (one, where what is out cannot be said elsewhere), each with
 *                   something wrong about it; or nobody fit to serve was there
 *   its node leaves not before the time at which a leaving node stops to relay, and never without a word
 *   lost            its node died of a fault, or was out of reach
 *   turned away     its node stood still, was out of reach, or was leaving already
 */
import type { Fact } from '../../../src/node/facts.ts';
import type { LegTrack, SimClient } from './client.ts';
import type { Custody } from './custody.ts';
import type { Site } from './site.ts';
import type { Station } from './station.ts';

/** Who was fit for so long is known as such to everybody, whatever was before, ms. */
const fitMs = 15_000;
/** Trouble may be over by the time at which it shows, ms. */
const lateMs = 3_000;
/** A client gives a node this long to take its connection, and some, ms. */
const meetingMs = 10_000;
/**
 * And does without it for so long before it gives it up. What was said into a cut comes as long after the end of it as it
 * had waited by then (TCP doubles its waits), and a process that ends meanwhile takes it along. ms
 */
const aliveMs = 25_000;
/** Clocks of nodes drift by so much until any deadline, ms. */
const driftMs = 50;
/** What a leaving node keeps back at its end: src/drain, said here once more. ms */
const reserveOf = (remainingMs: number): number => Math.min(5_000, Math.max(1_000, remainingMs / 4));
export const fruitlessMax = 2;

type Ports = {
  readonly site: () => Site;
  readonly custody: Custody;
  readonly onBroken: (what: string) => void;
};

export class Wholeness {
  readonly #ports: Ports;
  /** Why a node gave an answer up, by its own word. */
  readonly #causes = new Map<SimClient, string>();
  /** From when on a leaving node relays nothing. */
  readonly #cutAt = new Map<Station, number>();

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  get #site(): Site {
    return this.#ports.site();
  }

  get #now(): number {
    return this.#site.world.now;
  }

  onLeaving(station: Station, remainingMs: number): void {
    const cutAt = this.#now + remainingMs - reserveOf(remainingMs);
    this.#cutAt.set(station, Math.min(cutAt, this.#cutAt.get(station) ?? Infinity));
  }

  /** A node gives an answer up. */
  onFailed(station: Station, client: SimClient, fact: Fact): void {
    const cause = String(fact['cause']);
    this.#causes.set(client, cause);
    // Of one that has left for another node nobody waits for the rest.
    if (client.entry !== station) return;
    const { id, ownLegs, wish } = client;
    if (cause === 'no-place' || cause === 'unreached') return this.#mustLackPlace(client, cause);
    const { n = 1 } = wish.body;
    // Passed on as it was cut or as choices spoke in turn, and told when no copy took it in time: whoever makes it again
    // may do otherwise (S32).
    const isChance = wish.way === 'whole' || n > 1;
    if (cause === 'mismatch' && isChance && this.#ports.custody.isAhead(client)) return;
    const isWell = ({ member, at }: LegTrack): boolean => this.wasWell(member, station, at - lateMs);
    // Which of its choices ended it, it does not say.
    const tried = Array.from({ length: n }, (_, i) =>
      sinceFruit(ownLegs.filter(({ choice }) => choice === i)),
    );
    const needed = wish.way === 'whole' ? 1 : fruitlessMax + 1;
    if (tried.some((legs) => legs.filter((leg) => !isWell(leg)).length >= needed)) return;
    const all = tried.flat().map((leg) => (isWell(leg) ? `${leg.member}, well` : leg.member));
    this.#break(`${id} at ${station.id} failed (${cause}) after ${all.join('; ')}`);
  }

  /** Nothing more comes to this client. */
  ended(client: SimClient): void {
    switch (client.end) {
      case 'failed':
        return client.complaint === 'node_leaving' ? this.#mayBeLeft(client) : this.#mustBeExplained(client);
      case 'refused':
        return this.#mustLackPlace(client, client.complaint);
      case 'turned-away':
        return this.#mayBeUnmet(client);
      case 'lost':
        // Those that go on elsewhere are the matter of the logs (R9).
        return client.goesOn ? undefined : this.#mayBeLost(client);
      case 'answered':
      case 'left':
      case null:
        return;
    }
  }

  wasWell(member: string, judge: Station, since: number): boolean {
    const site = this.#site;
    const station = site.station(member);
    return station !== null && site.ranWell(judge, since) && site.wasFit(station, judge, since);
  }

  /** Somebody who could have taken it for so long that there is no excuse; null: nobody. */
  fitFor(entry: Station, except: Station | null): Station | null {
    const site = this.#site;
    const since = this.#now - fitMs;
    if (!site.ranWell(entry, since)) return null;
    return site.living().find((station) => station !== except && site.wasFit(station, entry, since)) ?? null;
  }

  #mustLackPlace({ entry, id }: SimClient, why: string): void {
    const fit = this.fitFor(entry, null);
    if (fit !== null) this.#break(`${id} at ${entry.id}: ${why}, and ${fit.id} was fit`);
    if (why === 'model_not_found' && this.#site.isStranger(entry))
      this.#break(`${id} at ${entry.id}: ${why}, and that one had been told of nobody`);
  }

  /** A word of failure that its node cannot account for. */
  #mustBeExplained(client: SimClient): void {
    const { entry, id, complaint } = client;
    if (this.#causes.has(client) || this.#ports.custody.isAhead(client)) return;
    this.#break(`${id} at ${entry.id} was told ${complaint}, and the node knows nothing of it`);
  }

  #mayBeLeft(client: SimClient): void {
    const { entry, id, ownLegs } = client;
    const cutAt = this.#cutAt.get(entry);
    if (cutAt === undefined) return this.#mustLackPlace(client, 'told that its node leaves, which does not');
    // Who comes to a node that leaves is sent away at once.
    if (ownLegs.length === 0 || this.#now >= cutAt - driftMs) return;
    this.#break(`${id} at ${entry.id} was cut ${Math.round(cutAt - this.#now)} ms too early`);
  }

  #mayBeUnmet({ entry, id }: SimClient): void {
    if (this.#wasWithinReach(entry, this.#now - meetingMs) && entry.runsWell)
      this.#break(`${id} was not let in at ${entry.id}, which ran well`);
  }

  #mayBeLost({ entry, id }: SimClient): void {
    if (!this.#wasWithinReach(entry, this.#now - aliveMs)) return;
    if (entry.place.process.alive) this.#break(`${id} lost ${entry.id}, which lives`);
    if (entry.hasLeft) this.#break(`${id} lost ${entry.id}, which left without a word`);
  }

  #wasWithinReach(entry: Station, since: number): boolean {
    const { outside, world } = this.#site;
    const isApart = world.shadows.layBetween(outside.host, entry.place.host, since);
    return !isApart && this.#site.ranWell(entry, since);
  }

  #break(what: string): void {
    this.#ports.onBroken(what);
  }
}

/** The last one that brought something, and those after it; the members that took none of them are left out. */
export function sinceFruit(legs: readonly LegTrack[]): readonly LegTrack[] {
  const reached = legs.filter(({ unreached }) => !unreached);
  return reached.slice(
    Math.max(
      0,
      reached.findLastIndex(({ fruitful }) => fruitful),
    ),
  );
}
