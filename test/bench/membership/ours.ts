/** What is done to our own daemons, and how long until all the others know. */
import { setTimeout as pause } from 'node:timers/promises';
import { connectControl } from '../../../src/control/client.ts';
import type { Daemon } from '../../lab/daemon.ts';
import { allAlive, type Lab } from '../../lab/lab.ts';
import { isPeerHost } from '../../lab/wires.ts';
import type { Said } from '../../lab/witness.ts';
import { bytesSent, cpuNanos, hasThread, rateOf } from './cost.ts';
import { deathsTold, ofBystanders, type Loss, type Window } from './deaths.ts';
import { healedMs, seenAcross } from './healing.ts';
import { mean, rounded } from './numbers.ts';

/** What has not been known to all by then counts as that, and is a miss. */
const knownMs = 10_000;
/** For a daemon to come back and all to see one another again. */
const settleMs = 40_000;
/** Between trials, so that one does not weigh on the next: a daemon that has just started compiles for a while. */
const quietMs = 2_000;
const thread = 'membership';

/** `ms`: until all views were equal again; null: the halves had not lost sight of each other, so nothing had to heal. */
export type Healing = { readonly ms: number | null; readonly bit: boolean };

export type Complain = (what: string) => void;

export class Ours {
  readonly #lab: Lab;
  readonly #complain: Complain;
  readonly #losses: Loss[] = [];
  #unsettled = 0;

  constructor(lab: Lab, complain: Complain) {
    this.#lab = lab;
    this.#complain = complain;
  }

  /** How often not all saw one another again in time. */
  get unsettled(): number {
    return this.#unsettled;
  }

  async settle(): Promise<void> {
    const begun = performance.now();
    try {
      await this.#lab.settled(settleMs);
    } catch (error) {
      this.#unsettled++;
      this.#complain((error as Error).message);
    }
    const ms = performance.now() - begun;
    if (ms > settleMs / 4) this.#complain(`settled only after ${rounded(ms)} ms`);
    await pause(quietMs);
  }

  /** SIGKILL to one daemon until all the others hold it dead. Another one is in its place when this resolves. */
  async kill(victim: Daemon): Promise<number> {
    const since = this.#lose(victim);
    victim.signal('SIGKILL');
    const ms = await this.#knownToAll('kill', ['member.died'], victim, since);
    await victim.ended;
    await victim.start();
    await this.settle();
    return ms;
  }

  /** The links of one host go down until all the others hold it dead. Its daemon lives on and comes back by itself. */
  async hostOff(victim: Daemon): Promise<number | null> {
    const { wires } = this.#lab;
    if (wires === null) return null;
    const since = this.#lose(victim);
    await wires.host(victim.index, 'off');
    const ms = await this.#knownToAll('host off', ['member.died'], victim, since);
    await wires.host(victim.index, 'on');
    await this.settle();
    return ms;
  }

  /** A drain changes the record as the request path needs it known: from the node's own line until all others know. */
  async recordChange(subject: Daemon): Promise<number> {
    const { witness } = this.#lab;
    const ordered = this.#lose(subject);
    await connectControl(subject.dataDir).drain('operator', null);
    const started = (): number | undefined =>
      witness.said.findLast(
        ({ by, fact, at }) => by === subject.index && fact === 'drain.started' && at >= ordered,
      )?.at;
    await witness.until(() => started() !== undefined, knownMs);
    const since = started() ?? ordered;
    const ms = await this.#knownToAll('record', ['member.draining', 'member.left'], subject, since);
    await subject.ended;
    await subject.start();
    await this.settle();
    return ms;
  }

  /** Half the nodes cut off from the other half; how long after the cut ends until all hold all alive, and go on to. */
  async partition(forMs: number): Promise<Healing | null> {
    const { wires, witness, daemons } = this.#lab;
    if (wires === null) return null;
    const half = daemons.length / 2;
    await wires.trunk('cut');
    await pause(forMs);
    const seen = seenAcross(witness, [daemons.slice(0, half), daemons.slice(half)]);
    if (seen.length > 0)
      this.#complain(`the cut did not bite: ${seen.length} still see one another: ${seen[0]}`);
    const since = Date.now();
    await wires.trunk('join');
    try {
      const isWhole = (): Promise<boolean> => allAlive(daemons);
      const ms = await healedMs(this.#lab, since, { withinMs: settleMs, quietMs, isWhole });
      return seen.length > 0 ? { ms: null, bit: false } : { ms, bit: true };
    } catch (error) {
      this.#complain(`the partition did not heal: ${(error as Error).message}`);
      return { ms: settleMs, bit: seen.length === 0 };
    }
  }

  /** Times that a daemon held another one dead, all of which live. */
  falseDeaths(window: Window): number {
    return this.#count(deathsTold(this.#lab.witness.said, window));
  }

  /** The same while some were lost: times that one to which nothing was done held another such one dead. */
  bystandersDead(window: Window): number {
    return this.#count(ofBystanders(deathsTold(this.#lab.witness.said, window), this.#losses));
  }

  #count(wrong: readonly Said[]): number {
    for (const { line, by } of wrong.slice(0, 5)) this.#complain(`false death, by node ${by}: ${line}`);
    return wrong.length;
  }

  /** Since when. */
  #lose({ index, id }: Daemon): number {
    const from = Date.now();
    this.#losses.push({ index, id, from });
    return from;
  }

  /** Means over the nodes. */
  async cost(windowMs: number): Promise<{ readonly bytesPerSecond: number; readonly corePercent: number }> {
    const { wires, daemons } = this.#lab;
    const isPeer = wires === null ? (host: string) => host.startsWith('127.0.2.') : isPeerHost;
    const named = daemons.every(({ pid }) => hasThread(pid, thread)) ? thread : null;
    if (named === null) this.#complain(`no thread ${thread}: the whole process is counted`);
    const nanos = (): readonly number[] => daemons.map(({ pid }) => cpuNanos(pid, named));
    const [before, at] = [nanos(), performance.now()];
    const rates = await Promise.all(
      daemons.map(({ pid, index }) =>
        rateOf(() => bytesSent(pid, wires?.inside(index) ?? [], isPeer), windowMs),
      ),
    );
    const elapsed = (performance.now() - at) * 1e6;
    const shares = nanos().map((spent, i) => (100 * (spent - before[i]!)) / elapsed);
    return { bytesPerSecond: rounded(mean(rates)), corePercent: rounded(mean(shares), 3) };
  }

  async #knownToAll(
    what: string,
    facts: readonly string[],
    { id, index }: Daemon,
    since: number,
  ): Promise<number> {
    const observers = this.#lab.daemons.map((daemon) => daemon.index).filter((other) => other !== index);
    const times = await this.#lab.witness.known({ facts, member: id, since }, observers, knownMs);
    const unaware = observers.filter((other) => !times.has(other));
    if (unaware.length === 0) return Math.max(...times.values()) - since;
    this.#complain(`${what} of node ${index}: unknown to ${unaware.join(', ')} after ${knownMs} ms`);
    return knownMs;
  }
}
