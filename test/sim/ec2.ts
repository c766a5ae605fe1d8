/**
 * EC2 as a cluster sees it: instances with tags, described by replicas that lag behind, behind AWS's token buckets; and
 * the SDK's two attempts in front. It can be out, throttle, answer half or nothing, and take a whole zone with it.
 */
import type { Cloud, Sighting } from '../../src/node/ports.ts';
import { Failure } from '../../src/std/failure.ts';
import { instant } from '../../src/std/time.ts';
import { fullBucket, take, type TokenBucket } from '../../src/std/token-bucket.ts';
import type { Dice } from './dice.ts';
import { Bag } from './overlaps.ts';
import type { SimProcess } from './process.ts';
import type { EventQueue } from './queue.ts';
import type { Turn } from './turn.ts';

/** Per account and region: filtered DescribeInstances, and CreateTags. */
const describing = { burst: 100, perSecond: 20 };
const tagging = { burst: 100, perSecond: 10 };
const pageSize = 1_000;
const answerMs = { least: 40, most: 250 };
/** The SDK's `standard` mode, capped at two attempts: exponential with full jitter. */
const attempts = { most: 2, baseMs: 100, throttledMs: 500 };
/** Replicas that lag keep this much of the past, versions of one instance. */
const versionsMax = 8;

type Version = {
  /** As DescribeInstances tells it; null: not at all. */
  readonly sighting: Sighting | null;
  readonly at: number;
  readonly shown: boolean;
  readonly tags: Readonly<Record<string, string>>;
};

export type Instance = {
  readonly id: string;
  readonly ip: string;
  readonly zone: string;
  /** Newest last. */
  readonly versions: Version[];
};

export class SimEc2 {
  readonly instances = new Map<string, Instance>();
  /** DescribeInstances, by pages and attempts, and when each came. */
  calls = 0;
  throttled = 0;
  /** Nobody gets an answer. */
  out = false;
  /** Calls that another tenant of the account makes, a second. */
  rivalsPerSecond = 0;
  /** How far behind an answer may be, ms. */
  staleMs = 0;
  /** Of all answers: a listing breaks off, or is complete and lacks instances, or lacks all. */
  broken = 0;
  partial = 0;
  empty = 0;
  /** Zones whose instances the API cannot tell of. */
  readonly zonesOut = new Bag<string>();
  readonly #queue: EventQueue;
  readonly #dice: Dice;
  readonly #turn: Turn;
  readonly #describing: TokenBucket;
  readonly #tagging: TokenBucket;
  #rivalsAt = 0;

  constructor(parts: { queue: EventQueue; dice: Dice; turn: Turn }) {
    this.#queue = parts.queue;
    this.#dice = parts.dice;
    this.#turn = parts.turn;
    this.#describing = fullBucket(describing, instant(0));
    this.#tagging = fullBucket(tagging, instant(0));
  }

  launch(instance: Omit<Instance, 'versions'>, tags: Readonly<Record<string, string>>): void {
    this.instances.set(instance.id, { ...instance, versions: [] });
    this.#amend(instance.id, { shown: true, tags });
  }

  terminate(id: string): void {
    const tags = this.instances.get(id)?.versions.at(-1)?.tags ?? {};
    this.#amend(id, { shown: false, tags });
  }

  /** Writes tags from outside, as an operator does. */
  tag(id: string, tags: Readonly<Record<string, string>>): void {
    const current = this.instances.get(id)?.versions.at(-1)?.tags ?? {};
    this.#amend(id, { shown: true, tags: { ...current, ...tags } });
  }

  /** Whether a running instance has this peer id in its tags, however long ago its answer left. */
  vouchesFor(id: string, peerId: string): boolean {
    return this.instances.get(id)?.versions.some(({ tags }) => tags['SynktiPeerId'] === peerId) ?? false;
  }

  /** Whether this instance runs, and has or had this peer id in its tags as one of the cluster: who leaves takes it out. */
  names(id: string, peerId: string): boolean {
    const versions = this.instances.get(id)?.versions ?? [];
    return versions.at(-1)?.shown === true && versions.some(({ sighting }) => sighting?.peerId === peerId);
  }

  cloudOf(id: string, process: SimProcess): Cloud {
    const call = <T>(signal: AbortSignal, answer: () => T): Promise<T> =>
      this.#turn.promise(this.#call(process, signal, answer));
    const current = (): Readonly<Record<string, string>> => this.instances.get(id)!.versions.at(-1)!.tags;
    return {
      sightings: (signal) => call(signal, () => this.#describe()),
      tagSelf: (tags, signal) => call(signal, () => this.#tag(id, { ...current(), ...tags })),
      untagSelf: (keys, signal) =>
        call(signal, () => {
          const left = Object.entries(current()).filter(([key]) => !keys.includes(key));
          this.#tag(id, Object.fromEntries(left));
        }),
    };
  }

  async #call<T>(process: SimProcess, signal: AbortSignal, answer: () => T): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      await this.#wait(process, this.#dice.between(answerMs.least, answerMs.most), signal);
      try {
        return answer();
      } catch (error) {
        if (!(error instanceof Failure) || attempt === attempts.most) throw error;
        const baseMs = error.kind === 'busy' ? attempts.throttledMs : attempts.baseMs;
        await this.#wait(process, this.#dice.unit() * baseMs * 2 ** attempt, signal);
      }
    }
  }

  #wait(process: SimProcess, ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    process.receive(this.#queue.now + ms, () => {
      this.#turn.note();
      resolve();
    });
    const late = (): void => {
      this.#turn.note();
      reject(new Failure('late', 'ec2: late'));
    };
    if (signal.aborted) late();
    else signal.addEventListener('abort', late, { once: true });
    return promise;
  }

  #describe(): readonly Sighting[] {
    const asOf = this.#queue.now - this.#dice.unit() * this.staleMs;
    const found: Sighting[] = [];
    const shown: Sighting[] = [];
    for (const { versions } of this.instances.values()) {
      const sighting = versions.findLast(({ at }) => at <= asOf)?.sighting ?? null;
      if (sighting !== null) shown.push(sighting);
    }
    for (let page = 0; page === 0 || page * pageSize < shown.length; page++) {
      this.#admit(this.#describing);
      if (this.#dice.hits(this.broken)) throw new Failure('unreachable', 'list instances: unreachable');
      found.push(...shown.slice(page * pageSize, (page + 1) * pageSize));
    }
    const seen = found.filter(({ zone }) => !this.zonesOut.has(zone));
    if (this.#dice.hits(this.empty)) return [];
    return this.#dice.hits(this.partial) ? seen.filter(() => this.#dice.hits(0.7)) : seen;
  }

  #tag(id: string, tags: Readonly<Record<string, string>>): void {
    this.#admit(this.#tagging);
    this.#amend(id, { shown: true, tags });
  }

  #admit(bucket: TokenBucket): void {
    const now = instant(this.#queue.now);
    if (this.out) throw new Failure('unreachable', 'ec2: unreachable');
    if (bucket === this.#describing) {
      this.calls++;
      const rivals = ((now - this.#rivalsAt) / 1_000) * this.rivalsPerSecond;
      this.#rivalsAt = now;
      if (rivals > 0) take(bucket, Math.min(rivals, bucket.level), now);
    }
    if (take(bucket, 1, now)) return;
    this.throttled++;
    throw new Failure('busy', 'ec2: busy: RequestLimitExceeded');
  }

  #amend(id: string, change: Pick<Version, 'shown' | 'tags'>): void {
    const instance = this.instances.get(id);
    if (instance === undefined) return;
    const { versions } = instance;
    if (versions.at(-1)?.shown === false) return;
    versions.push({ at: this.#queue.now, ...change, sighting: sightingOf(instance, change) });
    if (versions.length > versionsMax) versions.shift();
  }
}

function sightingOf(
  { id, ip, zone }: Instance,
  { shown, tags }: Pick<Version, 'shown' | 'tags'>,
): Sighting | null {
  if (!shown || tags['SynktiCluster'] === undefined) return null;
  return {
    instanceId: id,
    peerId: tags['SynktiPeerId'] ?? null,
    address: { host: ip, port: 4001 },
    zone,
    role: tags['SynktiRole'] ?? '',
    left: tags['SynktiState'] === 'left',
  };
}
