/**
 * What the daemons of a trial say, put together: each of their log lines with the time that the daemon itself wrote
 * on it, and from these the view that each has of the others. All run on one machine, so their clocks are one clock,
 * and nothing has to be asked of a daemon that is being measured.
 */
import { Condition } from './condition.ts';

/** One fact as a daemon reported it. */
export type Said = {
  /** Which daemon. */
  readonly by: number;
  /** Epoch ms. */
  readonly at: number;
  readonly fact: string;
  /** The member that it is about; '' for those about none. */
  readonly member: string;
  readonly line: string;
};

type Health = 'alive' | 'suspect' | 'dead' | 'left';

const healthAfter: Readonly<Record<string, Health>> = {
  'member.joined': 'alive',
  'member.recovered': 'alive',
  'member.suspected': 'suspect',
  'member.died': 'dead',
  'member.left': 'left',
};

/** Lines of a daemon that are no facts, kept for whoever asks why it died. */
const murmurMax = 40;

export class Witness {
  readonly said: Said[] = [];
  readonly #views = new Map<number, Map<string, Health>>();
  readonly #murmurs = new Map<number, string[]>();
  readonly #change = new Condition();
  #isTelling = false;
  #changedAt = 0;

  /** A daemon starts: it knows nobody. */
  begin(by: number): void {
    this.#views.set(by, new Map());
  }

  hear(by: number, line: string): void {
    const fact = factOf(line);
    if (fact === null) {
      const murmurs = this.#murmurs.get(by) ?? [];
      this.#murmurs.set(by, [...murmurs, line].slice(-murmurMax));
      return;
    }
    const said = { by, line, at: fact.time, fact: fact.fact, member: fact.member ?? '' };
    this.said.push(said);
    const health = healthAfter[said.fact];
    if (health !== undefined) this.#views.get(by)?.set(said.member, health);
    else if (said.fact === 'member.forgotten') this.#views.get(by)?.delete(said.member);
    if (health !== undefined) this.#changedAt = Math.max(this.#changedAt, said.at);
    this.#tell();
  }

  /** When anybody last took another one for something else, epoch ms, as who did wrote it. */
  get changedAt(): number {
    return this.#changedAt;
  }

  murmurs(by: number): string {
    return (this.#murmurs.get(by) ?? []).join('\n');
  }

  /** Resolves true once `holds` does, which is looked at after every fact; false when it does not in time. */
  until(holds: () => boolean, withinMs: number): Promise<boolean> {
    return this.#change.until(holds, withinMs);
  }

  /**
   * When each of `observers` first said one of `facts` about this member, not before `since`; resolves when all have
   * or the time is up. Who did not is missing in the answer.
   */
  async known(
    news: { readonly facts: readonly string[]; readonly member: string; readonly since: number },
    observers: readonly number[],
    withinMs: number,
  ): Promise<ReadonlyMap<number, number>> {
    const times = new Map<number, number>();
    let read = this.said.findLastIndex(({ at }) => at < news.since) + 1;
    const take = (): boolean => {
      for (; read < this.said.length; read++) {
        const { by, at, fact, member } = this.said[read]!;
        if (member !== news.member || at < news.since || !news.facts.includes(fact)) continue;
        if (!times.has(by) && observers.includes(by)) times.set(by, at);
      }
      return times.size === observers.length;
    };
    await this.until(take, withinMs);
    return times;
  }

  /** Whether each of these daemons holds all the others alive. */
  agree(members: ReadonlyMap<number, string>): boolean {
    for (const by of members.keys()) {
      for (const [other, id] of members) if (other !== by && !this.holdsAlive(by, id)) return false;
    }
    return true;
  }

  holdsAlive(by: number, id: string): boolean {
    return this.#views.get(by)?.get(id) === 'alive';
  }

  /** Who sees whom otherwise than alive, in words. */
  differences(members: ReadonlyMap<number, string>): string {
    const found: string[] = [];
    for (const by of members.keys())
      for (const [other, id] of members) {
        const health = this.#views.get(by)?.get(id) ?? 'unknown';
        if (other !== by && health !== 'alive') found.push(`${by} holds ${other} ${health}`);
      }
    const shown = found.slice(0, 8).join(', ');
    return found.length > 8 ? `${shown}, and ${found.length - 8} more` : shown;
  }

  /** Facts come in bursts, of which only the end matters. */
  #tell(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    setImmediate(() => {
      this.#isTelling = false;
      this.#change.tell();
    });
  }
}

type Line = { readonly fact: string; readonly time: number; readonly member?: string };

function factOf(line: string): Line | null {
  if (!line.startsWith('{')) return null;
  try {
    const parsed = JSON.parse(line) as Partial<Line>;
    return typeof parsed.fact === 'string' && typeof parsed.time === 'number' ? (parsed as Line) : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
