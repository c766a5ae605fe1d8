/**
 * What is promised of the logs of streams, and to clients that go on with them elsewhere:
 *
 *   R9  a client that goes on elsewhere gets the rest of its answer, as long as somebody who had its log when it lost its
 *       entry node is left, well, and within reach of the nodes that it asks, which know it; and as long as one of those
 *       is fit, and is not given up while it still makes again what its client has
 *   R10 somebody else than its entry node has the log of a stream, where anybody fit is there to have it
 *   R11 every journal is freed: of an answer that ended in peace nothing is left soon after, and of any at all five
 *       minutes after the last word of it
 */
import { messageBytes, readHeld } from '../../../src/journal/wire.ts';
import { memberId } from '../../../src/std/member-id.ts';
import { placeFrom } from '../../../src/stream/mark.ts';
import { readLog, tokensIn } from '../../../src/stream/record.ts';
import type { SimClient } from './client.ts';
import type { Loss } from './durable.ts';
import type { Site } from './site.ts';
import type { Station } from './station.ts';

/** Who was well for so long is known to everybody, and knows everybody, ms. */
const fitMs = 15_000;
/** Trouble may be over by the time at which it shows, ms. */
const lateMs = 3_000;
/** How long a stream may have no copy: the batch that a lost holder did not answer, and the whole log to the next, ms. */
const bareMs = 5_000;
/** Events of a stream between two looks at its copies: each look asks every node. */
const looksEvery = 8;
/** What has ended may be asked for again for a minute; then holders look at it every five seconds. ms */
export const lingerMs = 75_000;
/** What nobody speaks of any more is kept for five minutes, ms. */
export const orphanMs = 330_000;

type Track = {
  readonly begunAt: number;
  heard: number;
  /** Its log, as far as it has one. */
  stream: string | null;
  /** How far its client has come: tokens, or events where they are passed on as they were cut. */
  had: number;
  /** When the client lost its entry node: how far each copy had come. */
  copies: ReadonlyMap<Station, number>;
  bareSince: number | null;
  /** Who had the log when the client lost its entry node. */
  keepers: readonly Station[];
  /** Who said since then that nobody has it. */
  readonly disowners: Set<string>;
  /** Who was given up since then while its engine made again what the client has. */
  readonly busy: Set<string>;
  endedAt: number | null;
};

export class Custody {
  /** Times that a client went on elsewhere. */
  resumed = 0;
  /** Those of them that found nobody to go on with. */
  stranded = 0;
  readonly #site: () => Site;
  readonly #break: (promise: string, what: string) => void;
  readonly #tracks = new Map<SimClient, Track>();

  constructor(site: () => Site, onBroken: (promise: string, what: string) => void) {
    this.#site = site;
    this.#break = onBroken;
  }

  get #now(): number {
    return this.#site().world.now;
  }

  begun(client: SimClient): void {
    this.#tracks.set(client, {
      ...{ begunAt: this.#now, heard: 0, stream: null, bareSince: null, keepers: [], endedAt: null },
      ...{ had: 0, copies: new Map(), disowners: new Set(), busy: new Set() },
    });
  }

  ended(client: SimClient): void {
    const track = this.#tracks.get(client);
    if (track !== undefined) track.endedAt = this.#now;
  }

  readonly heard = (client: SimClient, eventId: string): void => {
    const track = this.#tracks.get(client)!;
    const place = placeFrom(eventId);
    track.stream = place?.stream ?? null;
    track.had = place?.mark.tokens ?? 0;
    if (++track.heard % looksEvery === 0) this.#isCopied(client, track);
  };

  readonly broke = (client: SimClient): void => {
    const track = this.#tracks.get(client)!;
    track.bareSince = null;
    track.disowners.clear();
    track.busy.clear();
    track.keepers = this.#site()
      .living()
      .filter((station) => keeps(station, track.stream));
    const others = track.keepers.filter((station) => station !== client.entry);
    track.copies = new Map(others.map((station) => [station, logged(station, track.stream)]));
  };

  /** Whether it had more, when it lost its entry node, than any copy that the node of now can get at. */
  readonly isAhead = (client: SimClient): boolean => {
    const { copies, had } = this.#tracks.get(client)!;
    const since = this.#now - fitMs;
    const isWithin = (station: Station): boolean =>
      this.#lives(station) &&
      (station === client.entry || this.#site().couldTalk(client.entry, station, since));
    return [...copies].every(([station, tokens]) => tokens < had || !isWithin(station));
  };

  readonly wentOn = (): void => {
    this.resumed++;
  };

  /** It gives up the node that it asks, which has not said a word: who is in a hurry has no time for slow engines. */
  readonly unanswered = (client: SimClient): void => {
    const { entry, heard, ownLegs, wish } = client;
    const isPassedOn = wish.way === 'whole';
    // What is passed on as it was cut each engine says from its beginning; others say what those before them have not.
    const made = isPassedOn ? ownLegs.slice(-1) : ownLegs;
    const chars = made.reduce((sum, leg) => sum + leg.chars, 0);
    const isHeard = made.some(({ heardAt }) => heardAt > this.#now - lateMs);
    const isBusy = isHeard && chars < heard && (isPassedOn || this.isAhead(client));
    if (isBusy) this.#tracks.get(client)!.busy.add(entry.id);
  };

  /** The node that it asks says that nobody has the log. */
  readonly disowned = (client: SimClient): void => {
    const site = this.#site();
    const { entry, id } = client;
    const since = this.#now - fitMs;
    this.#tracks.get(client)!.disowners.add(entry.id);
    if (!site.ranWell(entry, since)) return;
    const lately = this.#now - lateMs;
    // Who is not shown to it by EC2, nor vouched for by others, is a stranger: nobody is asked for logs who may be anybody.
    const isInReach = (one: Station): boolean =>
      one === entry || (entry.knows(one.id) && site.couldTalk(entry, one, lately));
    const { keepers } = this.#tracks.get(client)!;
    const keeper = keepers.find((one) => this.#lives(one) && isInReach(one));
    if (keeper !== undefined && !this.#lay(entry, keeper, since))
      this.#break('R9', `${entry.id} has never heard of ${id}, whose log is at ${keeper.id}`);
  };

  readonly lost = (client: SimClient, loss: Loss, urls: readonly string[]): void => {
    this.stranded++;
    const { disowners, busy } = this.#tracks.get(client)!;
    const { shadows } = this.#site().world;
    const { outside, world } = this.#site();
    const since = world.now - 2 * fitMs;
    const fit = urls
      .filter((id) => !disowners.has(id) && !busy.has(id))
      .flatMap((id) => this.#site().station(id) ?? [])
      .find(
        (one) =>
          this.#lives(one) &&
          this.#site().wasFit(one, one, since) &&
          !shadows.layBetween(outside.host, one.place.host, since),
      );
    if (fit !== undefined) this.#break('R9', `${client.id} is lost (${loss}), and ${fit.id} was fit`);
  };

  /** When nothing more will come. */
  atTheEnd(): void {
    const ends = [...this.#tracks.values()].map(({ endedAt }) => endedAt ?? Infinity);
    const isLongAgo = Math.max(0, ...ends) < this.#now - orphanMs;
    for (const [client, track] of this.#tracks) this.#isFreed(client, track);
    if (!isLongAgo) return;
    for (const { id, journals } of this.#site().living()) {
      const left = { kept: journals.kept(), held: journals.held().streams, bytes: journals.held().bytes };
      if (left.kept + left.held + left.bytes > 0)
        this.#break('R11', `${id} is left with ${JSON.stringify(left)} of journals`);
    }
  }

  #isCopied(client: SimClient, track: Track): void {
    const site = this.#site();
    const { entry, id } = client;
    const others = site.living().filter((station) => station !== entry);
    if (others.some((station) => keeps(station, track.stream))) {
      track.bareSince = null;
      return;
    }
    track.bareSince ??= this.#now;
    const since = Math.min(this.#now - fitMs, track.bareSince);
    const fit = others.find((station) => site.wasFit(station, entry, since));
    if (this.#now - track.bareSince > bareMs && site.ranWell(entry, since) && fit !== undefined)
      this.#break('R10', `${id} at ${entry.id} has no copy for ${bareMs} ms, and ${fit.id} was fit`);
  }

  /** Of one that nothing happened to. */
  #isFreed({ id, entry, end, part }: SimClient, { begunAt, endedAt, stream }: Track): void {
    const site = this.#site();
    const since = begunAt - lateMs;
    if (end !== 'answered' || part > 1 || endedAt === null || endedAt > this.#now - lingerMs) return;
    if (!this.#lives(entry) || !site.ranWell(entry, since)) return;
    const left = site
      .living()
      .find(
        (station) =>
          (station === entry || site.couldTalk(entry, station, since)) &&
          station.cluster.own().life.phase === 'serving' &&
          keeps(station, stream),
      );
    if (left !== undefined) this.#break('R11', `${left.id} has the log of ${id}, which ended at ${endedAt}`);
  }

  #lives(station: Station): boolean {
    return station.place.process.alive && this.#site().station(station.id) === station;
  }

  #lay(a: Station, b: Station, since: number): boolean {
    return this.#site().world.shadows.layBetween(a.place.host, b.place.host, since);
  }
}

/** Whether it has more of the stream's log than the request. */
const keeps = (station: Station, stream: string | null): boolean =>
  (logOf(station, stream)?.records.length ?? 0) > 0;

/** How far the log that it has goes. */
function logged(station: Station, stream: string | null): number {
  const log = logOf(station, stream);
  return log === null ? 0 : tokensIn(log);
}

function logOf({ id, journals }: Station, stream: string | null): ReturnType<typeof readLog> {
  if (stream === null) return null;
  const held = journals.answer(memberId(id), messageBytes({ type: 'peek', id: stream }));
  const found = held && readHeld(held);
  return found && readLog(found.bytes);
}
