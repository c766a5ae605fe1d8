/**
 * Ends every process that carries a mark, whoever its parent is by now. What it leaves in shared memory is removed by
 * Python's resource tracker, which alone knows the names of all of it: it goes last.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Mark } from '../../os/proc.ts';
import { processes } from '../../os/processes.ts';
import { Failure } from '../../std/failure.ts';

/** From SIGKILL until the kernel has taken a process away: milliseconds, unless it waits for a disk. */
const reapMs = 10_000;
/** A tracker ends by itself within milliseconds of the last of its family; after this it is ended, ms. */
const trackerMs = 2_000;
const tracker = /\bmultiprocessing[./]resource_tracker\b/;

/** Until none is left: what one of them was just starting carries the mark too. */
export async function killMarked(mark: Mark): Promise<void> {
  const begun = performance.now();
  for (;;) {
    const left = await processes.marked(mark);
    if (left.length === 0) return;
    const sinceMs = performance.now() - begun;
    for (const target of left)
      if (sinceMs > trackerMs || !tracker.test(target.command)) processes.signal(target, 'SIGKILL');
    if (sinceMs > reapMs) throw new Failure('late', `kill: ${left.length} processes do not end`);
    await pause(10);
  }
}
