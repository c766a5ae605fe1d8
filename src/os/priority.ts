/**
 * A higher priority for one thread of this process. Whoever is late to hear looks dead to itself and deaf to others, and an
 * engine beside us takes every core that there is; the few milliseconds that the thread needs should not wait for that.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/** Above all ordinary processes, and below what the kernel does. */
const nice = -10;

/** false: it takes root or CAP_SYS_NICE, or Linux. The name is the first 15 characters of the thread's. */
export function preferThread(name: string): boolean {
  try {
    for (const tid of readdirSync('/proc/self/task')) {
      if (readFileSync(`/proc/self/task/${tid}/comm`, 'utf8').trim() === name) {
        setPriority(Number(tid), nice);
        return true;
      }
    }
    return false;
  } catch (error) {
    if (error instanceof Error) return false;
    throw error;
  }
}
