/**
 * Work without which all else goes on, and that may fail for hours on end, four times a second: without descriptors, or
 * with a full disk. Each is told when it begins to fail and when it works again, with how often it failed.
 */
import type { Report } from '../node/facts.ts';
import { messageOf } from '../std/failure.ts';

/** No ledger means no adoption, no bound a longer log; no look, a later word of the engine's end. */
export type Hindered = 'ledger' | 'output' | 'kill' | 'watch';

export type Hindrances = {
  failed(what: Hindered, error: unknown): void;
  worked(what: Hindered): void;
};

export function openHindrances(report: Report): Hindrances {
  const timesOf = new Map<Hindered, number>();
  return {
    failed: (what, error) => {
      const times = (timesOf.get(what) ?? 0) + 1;
      timesOf.set(what, times);
      if (times === 1) report({ fact: 'engine.hindered', what, cause: messageOf(error) });
    },
    worked: (what) => {
      const times = timesOf.get(what);
      if (times === undefined) return;
      timesOf.delete(what);
      report({ fact: 'engine.unhindered', what, times });
    },
  };
}
