/** Peers that proved who they are and wait for discovery to say whether that is somebody: bounded in number and time. */
import { after } from '../std/time.ts';
import type { Clock } from './ports.ts';

/** A stranger's handshake waits this long at most; discovery may have to ask EC2 first. */
const waitMs = 5_000;
/** Waiting at once; more are turned away unheard. */
const waitingMax = 64;

export class Strangers {
  readonly #clock: Clock;
  readonly #waiting = new Map<string, Set<(admitted: boolean) => void>>();
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** false after the deadline, and at once when too many wait. */
  wait(peerId: string): Promise<boolean> {
    if (this.#count >= waitingMax) return Promise.resolve(false);
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(peerId) ?? new Set();
      const settle = (admitted: boolean): void => {
        if (!waiting.delete(settle)) return;
        this.#count--;
        if (waiting.size === 0) this.#waiting.delete(peerId);
        disarm();
        resolve(admitted);
      };
      this.#waiting.set(peerId, waiting.add(settle));
      this.#count++;
      const disarm = this.#clock.wakeAt(after(this.#clock.now(), waitMs), () => settle(false));
    });
  }

  settle(peerId: string, admitted: boolean): void {
    for (const settle of [...(this.#waiting.get(peerId) ?? [])]) settle(admitted);
  }

  close(): void {
    for (const peerId of [...this.#waiting.keys()]) this.settle(peerId, false);
  }
}
