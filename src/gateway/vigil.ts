/**
 * When a stream that is passed through and has begun is given up: its member is in doubt, and nothing comes of it for longer
 * than its own rhythm allows (`stream/rhythm.ts`). Neither is enough by itself. A generation that leaves an engine for its
 * silence goes on elsewhere and loses nothing; here the answer is lost, and a process that stood still says the rest of it.
 *
 *   trusted ──member is suspect──► watched ──it is heard of again, or leaves by itself──► trusted
 *                                      └──nothing of the stream for long enough──► lost
 */
import type { Clock } from '../node/ports.ts';
import { after, instant, type Instant } from '../std/time.ts';
import { afterOwnStall, gapMsUnseen, nextGapMs, patienceMs } from '../stream/rhythm.ts';

/** Whatever the rhythm: a process that was starved or stopped is back within this time more often than not. ms */
const silenceMsMin = 4_000;

type VigilPorts = {
  readonly clock: Clock;
  /** Whether the member is in doubt still. */
  readonly isDoubted: () => boolean;
  /** Whether its client takes what comes: else nothing is read of it. */
  readonly isRead: () => boolean;
  readonly lost: () => void;
};

export class Vigil {
  readonly #ports: VigilPorts;
  #gapMs = gapMsUnseen;
  /** Since when nothing came that could have come. */
  #quietSince: Instant | null = null;
  #doubtedAt: Instant | null = null;
  #disarm = (): void => {};

  constructor(ports: VigilPorts) {
    this.#ports = ports;
  }

  heard(): void {
    const now = this.#ports.clock.now();
    if (this.#quietSince !== null) this.#gapMs = nextGapMs(this.#gapMs, now - this.#quietSince);
    this.#quietSince = now;
  }

  /** What came before its first token shows no rhythm. */
  begun(): void {
    this.#gapMs = gapMsUnseen;
  }

  /** Its client takes something again. */
  resumed(): void {
    this.#quietSince = this.#ports.clock.now();
  }

  doubt(): void {
    if (this.#doubtedAt !== null) return;
    this.#doubtedAt = this.#ports.clock.now();
    this.#arm(this.#due());
  }

  trust(): void {
    this.#doubtedAt = null;
    this.#disarm();
  }

  #arm(at: Instant): void {
    this.#disarm = this.#ports.clock.wakeAt(at, () => this.#look(at));
  }

  #look(due: Instant): void {
    const { clock, isDoubted, isRead, lost } = this.#ports;
    if (!isDoubted()) return this.trust();
    const now = clock.now();
    if (!isRead()) this.resumed();
    const again = afterOwnStall(due, now) ?? this.#due();
    if (again > now) return this.#arm(again);
    this.trust();
    lost();
  }

  /** Of a member in doubt a stream has all of this time, however long it was silent before. */
  #due(): Instant {
    const since = instant(Math.max(this.#quietSince ?? 0, this.#doubtedAt ?? 0));
    return after(since, Math.max(silenceMsMin, patienceMs(this.#gapMs)));
  }
}
