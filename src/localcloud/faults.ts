/**
 * Which calls go wrong, and how: the latency, the errors, the 401 storms and the dropped connections that an operator
 * or a test has ordered, for a number of calls or for a time. One table for every service, the metadata service
 * included, where an operation is the path below /latest.
 *
 * Every rule that fits a call is spent on it: delays add up, and the oldest rule that fails the call decides how.
 */
import { after, type Instant } from '../std/time.ts';
import { fits } from './wildcard.ts';
import type { Fault } from './wire/fault-port.ts';

export type FaultRule = {
  /** `imds`, `ec2`, `s3`, … and below it the operation; both may hold `*` and `?`. */
  readonly service: string;
  readonly operation: string;
  /** Only calls of this instance; null: of anyone, the operator included. */
  readonly instanceId: string | null;
  readonly delayMs: number;
  readonly fail: Fault['fail'];
};

export type StandingFault = FaultRule & {
  readonly id: string;
  /** How many calls it still hits; infinite when only time ends it. */
  readonly remaining: number;
  readonly until: Instant;
};

export type FaultTable = { rules: readonly StandingFault[]; issued: number };

/** Rules that stand at once; the oldest goes when there is one more. A person sets a handful, a test a few dozen. */
const rulesMax = 100;

export const noStandingFaults = (): FaultTable => ({ rules: [], issued: 0 });

/** `times` or `forMs` null: without that limit. Returns the id by which the rule can be cleared. */
export function order(
  table: FaultTable,
  request: { readonly rule: FaultRule; readonly times: number | null; readonly forMs: number | null },
  now: Instant,
): string {
  table.issued += 1;
  const id = `fault-${table.issued}`;
  const remaining = request.times ?? Infinity;
  const until = after(now, request.forMs ?? Infinity);
  table.rules = [...standing(table, now), { ...request.rule, id, remaining, until }].slice(-rulesMax);
  return id;
}

/** null clears everything; false: no such rule. */
export function clear(table: FaultTable, id: string | null): boolean {
  const before = table.rules.length;
  table.rules = id === null ? [] : table.rules.filter((rule) => rule.id !== id);
  return id === null || table.rules.length < before;
}

export const standing = (table: FaultTable, now: Instant): readonly StandingFault[] =>
  table.rules.filter((rule) => rule.remaining > 0 && rule.until > now);

/** What happens to this call; null: nothing. Spends the rules that fit it. */
export function strike(
  table: FaultTable,
  call: { readonly service: string; readonly operation: string; readonly instanceId: string | null },
  now: Instant,
): Fault | null {
  const hits = (rule: FaultRule): boolean =>
    fits(rule.service, call.service) &&
    fits(rule.operation, call.operation) &&
    (rule.instanceId === null || rule.instanceId === call.instanceId);
  const live = standing(table, now);
  const hit = live.filter(hits);
  table.rules = live.map((rule) => (hits(rule) ? { ...rule, remaining: rule.remaining - 1 } : rule));
  if (hit.length === 0) return null;
  return {
    delayMs: hit.reduce((sum, rule) => sum + rule.delayMs, 0),
    fail: hit.find((rule) => rule.fail !== null)?.fail ?? null,
  };
}
