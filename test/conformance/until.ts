import { setTimeout as pause } from 'node:timers/promises';

const pollMs = 20;

/** Whether it became true in time. */
export async function until(holds: () => Promise<boolean> | boolean, withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() >= deadline) return false;
    await pause(pollMs);
  }
  return true;
}
