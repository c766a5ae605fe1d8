/**
 * Gathers what comes about in the membership thread until it can be told: at the end of a turn of the event loop, and
 * not before the main thread has taken the last batch. Members are looked up when the batch is made, so what changed
 * ten times meanwhile is told once, as it is then.
 */
import type { Known } from '../node/cluster-port.ts';
import type { Fact } from '../node/facts.ts';
import type { NodeRecord } from '../registry/record.ts';
import type { MemberId } from '../std/member-id.ts';
import type { News, Pulse } from './messages.ts';

/** Facts that wait while the main thread stands still; beyond it the oldest are lost, and their number is told. */
const factsMax = 1_000;

type Sources = {
  own(): NodeRecord;
  members(): readonly Known[];
  /** null: nobody of that id. */
  member(id: MemberId): Known | null;
};

export class Gathering {
  readonly #sources: Sources;
  readonly #post: (news: News) => void;
  readonly #changed = new Set<MemberId>();
  readonly #loaded = new Set<MemberId>();
  readonly #muted = new Set<MemberId>();
  readonly #barred = new Set<string>();
  #heardAt = new Map<MemberId, Known['heardAt']>();
  #facts: Fact[] = [];
  #factsLost = 0;
  #looked = false;
  #informed = false;
  #pulse: Pulse | null = null;
  #revision = 0;
  #told: { readonly record: NodeRecord; readonly revision: number } | null = null;
  #isScheduled = false;
  #isUntaken = false;

  constructor(sources: Sources, post: (news: News) => void) {
    this.#sources = sources;
    this.#post = post;
  }

  changed(id: MemberId): void {
    this.#changed.add(id);
    this.#schedule();
  }

  loaded(id: MemberId): void {
    this.#loaded.add(id);
    this.#schedule();
  }

  muted(id: MemberId): void {
    this.#muted.add(id);
    this.#schedule();
  }

  barred(peerId: string): void {
    this.#barred.add(peerId);
    this.#schedule();
  }

  looked(): void {
    this.#looked = true;
    this.#schedule();
  }

  informed(): void {
    this.#informed = true;
    this.#schedule();
  }

  fact(fact: Fact): void {
    this.#facts.push(fact);
    if (this.#facts.length > factsMax) this.#factsLost += this.#facts.splice(0, 1).length;
    this.#schedule();
  }

  /** The main thread's revision of this number is in the own record. */
  revised(revision: number): void {
    this.#revision = revision;
    this.#schedule();
  }

  pulse(pulse: Pulse): void {
    this.#pulse = pulse;
    this.#schedule();
  }

  /** The last batch was taken. */
  taken(): void {
    this.#isUntaken = false;
    if (this.#isScheduled) this.#tell();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#tell());
  }

  #tell(): void {
    if (this.#isUntaken || !this.#isScheduled) return;
    this.#isScheduled = false;
    this.#isUntaken = true;
    this.#post(this.#news());
  }

  #news(): News {
    const member = (id: MemberId): Known | null => this.#sources.member(id);
    const changed = taken(this.#changed).map((id) => [id, member(id)] as const);
    const loads = taken(this.#loaded).flatMap((id) => {
      const load = member(id)?.load ?? null;
      return load === null ? [] : [[id, load] as const];
    });
    const about = { looked: this.#looked, informed: this.#informed };
    const [pulse, facts] = [this.#pulse, this.#takenFacts()];
    this.#looked = false;
    this.#informed = false;
    this.#pulse = null;
    return {
      type: 'news',
      own: this.#own(),
      ...about,
      members: changed.flatMap(([, known]) => known ?? []),
      forgotten: changed.flatMap(([id, known]) => (known === null ? id : [])),
      loads,
      muted: taken(this.#muted),
      barred: taken(this.#barred),
      heard: pulse === null ? [] : this.#heard(),
      facts,
      pulse,
    };
  }

  #own(): News['own'] {
    const record = this.#sources.own();
    if (this.#told?.record === record && this.#told.revision === this.#revision) return null;
    this.#told = { record, revision: this.#revision };
    return this.#told;
  }

  #heard(): News['heard'] {
    const before = this.#heardAt;
    const now = this.#sources.members().map(({ id, heardAt }) => [id, heardAt] as const);
    this.#heardAt = new Map(now);
    return now.filter(([id, at]) => before.get(id) !== at);
  }

  #takenFacts(): Fact[] {
    const facts = this.#facts;
    if (this.#factsLost > 0) facts.push({ fact: 'membership.unheard', facts: this.#factsLost });
    this.#facts = [];
    this.#factsLost = 0;
    return facts;
  }
}

function taken<T>(names: Set<T>): readonly T[] {
  const all = [...names];
  names.clear();
  return all;
}
