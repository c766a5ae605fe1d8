/**
 * I8: what a node hands to its kernel, bytes a second, is bounded whatever happens: a storm of gossip, votes or
 * comparisons feeds itself, and nothing else would say so.
 *
 *   in peace   once nobody has learned anything for as long as anything is told again: beats to those who observe, a
 *              comparison in five seconds. The promise of the README, 4 kB/s.
 *   for long   ten seconds of anything. A connection that is made costs each end some 6 kB at fifty members: the hello,
 *              two records, 64 hashes, the entries of the buckets that differ, and now and then a record that the other
 *              lacked. That a node makes one with every other member each three seconds, for ten seconds, is more than
 *              its dials, their pauses and the damping of votes (M12) let any fault bring about. Who looks on duty tells
 *              all of all that came in three epochs (Y3), and after a start these are all: an entry is 200 B, and two
 *              looks on duty are more than ten seconds apart. Beyond a full mesh each passes on to eight others what is
 *              gossiped: on each member that goes seven votes and five reminders of 230 B (M4, M12), and the entries of
 *              two others that look.
 *              Who has just come to know anybody lacks the records of all, and asks the first it meets for them, up to 64 at
 *              a time: where a zone starts anew, one that looked before the others is the first whom all of it meet. A
 *              record is 600 B.
 *   at once    one second. Every member at once, after a partition or an own start, and everything that it lacks: what
 *              one connection costs grows with the members, for their entries stand in it, of those who have gone as well,
 *              and their records follow.
 */
import { meshMax } from '../../src/std/mesh.ts';
import type { Resident } from './resident.ts';
import type { World } from './world.ts';

const peaceBytesPerSecond = 4_000;
const perMember = {
  forLong: 2_000,
  forLongPerOther: 20,
  passedOn: 2_500,
  forLongPerNewcomer: 60,
  atOnce: 6_000,
  atOncePerOther: 200,
};
/** Seconds. */
const longSeconds = 10;
/** Who met somebody just before them fetches within them what it lacks. */
const newSeconds = longSeconds + 2;
/** Whom nobody calls dead, because nobody is left to agree, is hung up after 30 s of silence. */
const lingerSeconds = 45;
/** Who is gone is told to everybody for three epochs of 30 s (Y3): an entry of each goes with every connection. */
const peaceSeconds = 100;

type Account = { sent: number; readonly seconds: number[] };

export class Spending {
  readonly #world: () => World;
  readonly #onBroken: (what: string) => void;
  #accounts = new Map<Resident, Account>();
  /** Members, of late: who has just gone is still told of. */
  readonly #members: number[] = [];
  /** Seconds since each of those lived of whom entries may be told. */
  readonly #goneFor = new Map<string, number>();
  /** Seconds since each knew anybody for the first time. */
  #knownFor = new Map<Resident, number>();
  #changes = -1;
  #quietSeconds = 0;

  constructor(world: () => World, onBroken: (what: string) => void) {
    this.#world = world;
    this.#onBroken = onBroken;
  }

  /** Each second. `changes`: of whatever any node knows, so far. */
  look(changes: number): void {
    const living = this.#world().living();
    this.#quietSeconds = changes === this.#changes ? this.#quietSeconds + 1 : 0;
    this.#changes = changes;
    keepLast(this.#members, living.length, lingerSeconds);
    const members = Math.max(...this.#members);
    this.#countTold(living);
    this.#countNewcomers(living);
    const accounts = new Map<Resident, Account>();
    for (const resident of living) {
      const account = this.#accounts.get(resident) ?? { sent: 0, seconds: [] };
      accounts.set(resident, account);
      this.#judge(resident, account, members);
    }
    this.#accounts = accounts;
  }

  #countTold(living: readonly Resident[]): void {
    for (const [id, seconds] of this.#goneFor)
      if (seconds >= peaceSeconds) this.#goneFor.delete(id);
      else this.#goneFor.set(id, seconds + 1);
    for (const { id } of living) this.#goneFor.set(id, 0);
  }

  #countNewcomers(living: readonly Resident[]): void {
    const knownFor = new Map<Resident, number>();
    for (const resident of living)
      if (resident.alive > 0) knownFor.set(resident, (this.#knownFor.get(resident) ?? 0) + 1);
    this.#knownFor = knownFor;
  }

  #judge(resident: Resident, account: Account, members: number): void {
    const sent = this.#world().stationOf(resident)?.sentBytes ?? account.sent;
    const last = sent - account.sent;
    account.sent = sent;
    keepLast(account.seconds, last, longSeconds);
    const mean = account.seconds.reduce((sum, one) => sum + one, 0) / longSeconds;
    const told = this.#goneFor.size;
    const atOnce = members * (perMember.atOnce + perMember.atOncePerOther * told);
    const passedOn = members > meshMax ? perMember.passedOn : 0;
    const newcomers = [...this.#knownFor.values()].filter((seconds) => seconds <= newSeconds).length;
    const each =
      perMember.forLong +
      perMember.forLongPerOther * told +
      perMember.forLongPerNewcomer * newcomers +
      passedOn;
    const forLong = peaceBytesPerSecond + each * members;
    const say = (bytes: number, how: string): void =>
      this.#onBroken(
        `${resident.id} sends ${Math.round(bytes)} bytes a second ${how}, of ${members} members`,
      );
    if (last > atOnce) say(last, 'at once');
    else if (mean > forLong) say(mean, 'for long');
    else if (this.#quietSeconds >= peaceSeconds && mean > peaceBytesPerSecond) say(mean, 'in peace');
  }
}

function keepLast(all: number[], one: number, count: number): void {
  all.push(one);
  if (all.length > count) all.shift();
}
