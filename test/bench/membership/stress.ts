/** What makes a machine's processes late: some stopped and continued in turn, and others that take every core. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';

export type Stress = {
  readonly stopMs: number;
  readonly runMs: number;
  /** Processes that only burn time. */
  readonly hogs: number;
};

type Victim = { signal(name: 'SIGSTOP' | 'SIGCONT'): void };

/** Each victim by itself, all beginning together; when the time is up each of them runs again. */
export async function underStress(victims: readonly Victim[], stress: Stress, forMs: number): Promise<void> {
  const hogs = Array.from({ length: stress.hogs }, () =>
    spawn('/bin/sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' }),
  );
  const until = performance.now() + forMs;
  try {
    await Promise.all(victims.map((victim) => cycle(victim, stress, until)));
  } finally {
    const ended = hogs.map((hog) => once(hog, 'exit'));
    for (const hog of hogs) hog.kill('SIGKILL');
    await Promise.all(ended);
  }
}

async function cycle(victim: Victim, { stopMs, runMs }: Stress, until: number): Promise<void> {
  const left = (): number => Math.max(0, until - performance.now());
  while (left() > 0) {
    victim.signal('SIGSTOP');
    await pause(Math.min(stopMs, left()));
    victim.signal('SIGCONT');
    await pause(Math.min(runMs, left()));
  }
}
