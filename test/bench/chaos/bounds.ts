/** What the project promises of each fault, held against one run. */
import { perFault } from './plan.ts';
import { waitedTwice, type Findings, type Report } from './report.ts';

/**
 * Of any stream that is not asked again from its beginning, ms: more than its silence, a connection tried in vain and
 * two moves take together. What waits longer is held by nobody's clock.
 */
const anyStallMsMax = 15_000;

type Bound = readonly [what: string, holds: boolean];

export function brokenBounds(report: Report, findings: Findings): readonly string[] {
  const { times, addedStall, anyStall, fault } = report;
  const within = (ms: number | null | undefined, bound: number): boolean => (ms ?? Infinity) <= bound;
  const bounds: readonly Bound[] = [
    ['no stream is cut', report.cut === 0],
    ['no token is wrong', report.wrongTokens === 0],
    ['no token is doubled', report.doubledTokens === 0],
    ['no stream is lost with its entry node', report.entryLost === 0],
    [`${perFault.started} streams begin for each ${fault}`, report.streams >= perFault.started * times],
    [`${perFault.hit} stream is hit by each ${fault}`, report.moved + report.resumed >= perFault.hit * times],
    ['no stream waits 15,000 ms', within(anyStall?.max, anyStallMsMax)],
    ['no request waits for a silent node twice', waitedTwice(findings) === 0],
  ];
  const stalls: readonly Bound[] = [
    ['half of the stalls are below 1,000 ms', within(addedStall?.p50, 1_000)],
    ['99 of 100 stalls are below 3,000 ms', within(addedStall?.p99, 3_000)],
  ];
  const leaving: readonly Bound[] = [
    ['admission is off 1,000 ms after a notice', within(report.admissionOff.max, 999)],
    ['the engine is empty 5,000 ms after a notice', within(report.empty.max, 4_999)],
  ];
  const held = { kill: stalls, freeze: stalls, drop: stalls, entry: stalls, pair: stalls, notice: leaving }[
    fault
  ];
  return [...bounds, ...held].filter(([, holds]) => !holds).map(([bound]) => bound);
}
