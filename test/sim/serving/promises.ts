/**
 * What clients and operators are promised, whatever happens, held against what the simulator knows and no node can:
 *
 *   R1 no token lost, doubled or changed: at every word a client has the beginning of the answer that an engine gives to
 *      which nothing happens, and at a normal end all of it
 *   R2 every answer whose entry node lives is whole, unless the faults leave no way (`wholeness.ts`)
 *   R3 no more than two moves in a row bring no token
 *   R4 an engine is left only when something is wrong with it, its node, or the path to it
 *   R5 nothing is sent to a member that its node knows to be draining, gone or doubted
 *   R6 a draining node's engine is empty within five seconds, when there is a fit one elsewhere
 *   R7 at the end nothing is left of anything: no count, no connection, no sequence on an engine
 *   R8 and every client knows how its request ended
 *
 * R9 to R11, of clients that go on at another node and of the logs by which they do, are in `custody.ts`.
 */
import type { Fact } from '../../../src/node/facts.ts';
import type { LegEars, OpenLeg } from '../../../src/node/leg.ts';
import type { MemberId } from '../../../src/std/member-id.ts';
import type { LegRequest } from '../../../src/stream/continuation.ts';
import type { End, LegTrack, SimClient } from './client.ts';
import { Custody } from './custody.ts';
import type { Site } from './site.ts';
import type { Station } from './station.ts';
import { fruitlessMax, sinceFruit, Wholeness } from './wholeness.ts';

/** Trouble may be over by the time at which it shows, ms. */
const lateMs = 3_000;
const emptyMs = 5_000;

export type StreamCounts = Readonly<Record<End, number>> & {
  readonly moved: number;
  /** Times that a client went on at another entry node. */
  readonly resumed: number;
  /** Clients that found none to go on at. */
  readonly stranded: number;
  /** From the last word of one engine to the first of the next. */
  readonly stallMs: readonly number[];
};

/** Causes that say something of an engine, its node or the path; the others are orders, or membership's matter. */
const blaming = new Set(['reset', 'eof', 'silence', 'error', 'abort', 'bare-done', 'status', 'nonsense']);

export class Promises {
  readonly clients = new Map<string, SimClient>();
  readonly custody: Custody;
  readonly #wholeness: Wholeness;
  readonly #site: () => Site;
  readonly #break: (promise: string, what: string) => void;
  readonly #stalls: number[] = [];
  readonly #drainingSince = new Map<Station, number>();

  constructor(site: () => Site, onBroken: (promise: string, what: string) => void) {
    this.#site = site;
    this.#break = onBroken;
    this.custody = new Custody(site, onBroken);
    const { custody } = this;
    this.#wholeness = new Wholeness({ site, custody, onBroken: (what) => onBroken('R2', what) });
  }

  counts(): StreamCounts {
    const ends: Record<End, number> = {
      ...{ answered: 0, failed: 0, refused: 0, 'turned-away': 0, lost: 0, left: 0 },
    };
    for (const { end } of this.clients.values()) if (end !== null) ends[end]++;
    const { resumed, stranded } = this.custody;
    return { ...ends, moved: this.#stalls.length, resumed, stranded, stallMs: this.#stalls };
  }

  enter(client: SimClient): void {
    this.clients.set(client.id, client);
    this.custody.begun(client);
  }

  /** It has come to its end, whatever that is. */
  leave(client: SimClient): void {
    this.custody.ended(client);
    this.#wholeness.ended(client);
  }

  /** The node's own way to engines, with somebody who takes notes. */
  watched(station: Station, openLeg: OpenLeg): OpenLeg {
    return (to, request, ears) => {
      const client = this.clients.get(to.headers['x-request-id'] ?? '');
      if (client === undefined) return openLeg(to, request, ears);
      const { now } = this.#site().world;
      this.#mayBeAsked(station, to.member);
      const part = station === client.entry ? client.part : null;
      const leg: LegTrack = {
        ...{ member: to.member, part, at: now, fruitful: false, unreached: false, lost: false },
        ...{ choice: choiceOf(client, request), chars: 0, heardAt: -Infinity },
      };
      client.legs.push(leg);
      if (part !== null) this.#mayMoveAgain(client, leg.choice);
      return openLeg(to, request, noting(leg, client, { ears, now: () => this.#site().world.now }));
    };
  }

  onFact(station: Station, fact: Fact): void {
    const { fact: name } = fact;
    if (name === 'stream.moved') this.#stalls.push(Number(fact['stallMs']));
    if (name === 'stream.moved') this.#mayLeave(station, fact);
    if (name === 'stream.failed') this.#mayFail(station, fact);
    if (name === 'drain.started') this.#onDraining(station);
    if (name === 'drain.started' || name === 'drain.advanced')
      this.#wholeness.onLeaving(station, Number(fact['remainingMs']));
    const isLate = name === 'drain.empty' && Number(fact['afterMs']) > emptyMs;
    if (isLate || (name === 'drain.overdue' && Number(fact['generations']) > 0)) this.#mustKeepNone(station);
  }

  isAwaited(): boolean {
    return [...this.clients.values()].some(({ end }) => end === null);
  }

  /** When everything has had its time. */
  atTheEnd(): void {
    for (const { id, end, entry } of this.clients.values())
      if (end === null) this.#break('R8', `${id} at ${entry.id} still waits`);
    for (const station of this.#site().living()) this.#isEmpty(station);
    this.custody.atTheEnd();
  }

  #isEmpty({ id, node, generations, engine }: Station): void {
    const left = {
      generations: generations.count(),
      entered: node.counts.entered,
      serving: node.engine?.generations() ?? 0,
      sent: node.serving.models().flatMap(({ ready }) => ready.filter(({ unreported }) => unreported > 0))
        .length,
      onTheEngine: engine === null ? 0 : engine.load.running + engine.load.waiting,
    };
    const some = Object.entries(left).filter(([, count]) => count > 0);
    if (some.length > 0) this.#break('R7', `${id} is left with ${JSON.stringify(Object.fromEntries(some))}`);
  }

  #mayBeAsked(station: Station, member: MemberId): void {
    if (member === station.id) return;
    const known = station.cluster.member(member);
    const phase = known?.record?.life.phase;
    const isOpen = known?.health === 'alive' && (phase === 'serving' || phase === 'joining');
    if (!isOpen) this.#break('R5', `${station.id} asks ${member}, ${known?.health} and ${phase} to it`);
  }

  /** A leg begins. Those that were left by order, or for their silence, are not counted. */
  #mayMoveAgain({ id, entry, ownLegs }: SimClient, choice: number): void {
    const own = ownLegs.filter((leg) => leg.choice === choice);
    const since = sinceFruit(own.slice(0, -1)).filter(({ lost }) => lost);
    if (since.length > fruitlessMax)
      this.#break('R3', `${id} at ${entry.id} moves after ${since.length - 1} fruitless moves`);
  }

  #mayLeave(station: Station, fact: Fact): void {
    const cause = String(fact['cause']);
    if (!blaming.has(cause)) return;
    const { now, terrain } = this.#site().world;
    // What is lost twice in a row comes after 600 ms, however rarely packets are lost.
    if (cause === 'silence' && terrain.loss > 0) return;
    const from = String(fact['from']);
    const since = now - Number(fact['stallMs']) - lateMs;
    if (this.#wholeness.wasWell(from, station, since))
      this.#break('R4', `${station.id} left ${from} (${cause}), which was well`);
  }

  #mayFail(station: Station, fact: Fact): void {
    const client = this.clients.get(String(fact['request']));
    if (client !== undefined) this.#wholeness.onFailed(station, client, fact);
  }

  #onDraining(station: Station): void {
    const { world } = this.#site();
    this.#drainingSince.set(station, world.now);
    world.at(world.now + emptyMs, () => {
      const load = station.engine?.load;
      if (station.runsWell && load !== undefined && load.running + load.waiting > 0)
        this.#mustKeepNone(station);
    });
  }

  /** Of what could have gone on elsewhere. */
  #mustKeepNone(station: Station): void {
    const site = this.#site();
    const since = this.#drainingSince.get(station) ?? 0;
    for (const { id, end, entry, ownLegs, wish } of this.clients.values()) {
      // Of several choices one that is complete stays where it was.
      const isThere = ownLegs.at(-1)?.member === station.id && (wish.body.n ?? 1) === 1;
      if (end !== null || wish.way !== 'ids' || !isThere) continue;
      const fit = this.#wholeness.fitFor(entry, station);
      if (fit === null || !site.couldTalk(entry, station, since - lateMs)) continue;
      const afterMs = Math.round(site.world.now - since);
      this.#break('R6', `${station.id} drains for ${afterMs} ms with ${id} of ${entry.id}; ${fit.id} is fit`);
    }
  }
}

function noting(
  leg: LegTrack,
  { legs }: SimClient,
  { ears, now }: { readonly ears: LegEars; readonly now: () => number },
): LegEars {
  let isDone = false;
  const note: LegEars['news'] = (news) => {
    if (news.type === 'unreached') leg.unreached = true;
    leg.lost = !leg.unreached;
    if (news.type === 'item' && news.item.type === 'chunk') {
      const chars = news.item.chunk.choices.reduce((sum, { text }) => sum + text.length, 0);
      if (chars > 0) Object.assign(leg, { fruitful: true, chars: leg.chars + chars, heardAt: now() });
      isDone ||= news.item.chunk.choices.some(({ finish }) => finish === 'length' || finish === 'stop');
    }
    ears.news(news);
    // One that only makes again what the client has ends in order, and another follows it.
    const newest = legs.findLast(({ choice }) => choice === leg.choice);
    leg.lost &&= newest !== leg && !isDone;
  };
  return { load: (load) => ears.load(load), news: note };
}

/** Each choice draws by a seed of its own. */
function choiceOf({ wish }: SimClient, request: LegRequest): number {
  const { n = 1, seed = 0 } = wish.body;
  return n === 1 ? 0 : (JSON.parse(request.body) as { readonly seed: number }).seed - seed;
}
