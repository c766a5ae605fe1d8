/**
 * The token buckets of the EC2 API, per action (the account and the region are this cloud). Every call takes one
 * token, some take one for each instance as well; who finds the bucket empty gets RequestLimitExceeded.
 *
 * Numbers: EC2 Developer Guide, "Request throttling for the Amazon EC2 API", bucket maximum and refill per second.
 */
import type { Instant } from '../../std/time.ts';
import type { Fields } from '../wire/query-api.ts';
import { fullBucket, take, type Rate, type TokenBucket } from '../wire/token-bucket.ts';

const rates = {
  'non-mutating': { capacity: 100, refillPerSecond: 20 },
  'non-mutating, whole': { capacity: 50, refillPerSecond: 10 },
  CreateTags: { capacity: 100, refillPerSecond: 10 },
  DeleteTags: { capacity: 100, refillPerSecond: 10 },
  RunInstances: { capacity: 5, refillPerSecond: 2 },
  'RunInstances, instances': { capacity: 1_000, refillPerSecond: 2 },
  TerminateInstances: { capacity: 100, refillPerSecond: 5 },
  'TerminateInstances, instances': { capacity: 1_000, refillPerSecond: 20 },
} as const satisfies Record<string, Rate>;

/** These have a smaller bucket of their own for calls that ask for everything at once. */
const wholesale = ['DescribeInstances', 'DescribeInstanceStatus'];

export type Throttle = {
  /** False: the call is one too many. */
  admit(action: string, fields: Fields, now: Instant): boolean;
  /** False: there are no tokens left for that many instances. */
  admitInstances(action: 'RunInstances' | 'TerminateInstances', count: number, now: Instant): boolean;
};

export function openThrottle(): Throttle {
  const buckets = new Map<string, TokenBucket>();

  function draw(name: string, rate: Rate, amount: number, now: Instant): boolean {
    const bucket = buckets.get(name) ?? fullBucket(rate, now);
    buckets.set(name, bucket);
    return take(bucket, amount, now);
  }

  return {
    admit(action, fields, now) {
      const rate = action in rates ? (action as keyof typeof rates) : category(action, fields);
      return draw(rate === action ? action : `${action}, ${rate}`, rates[rate], 1, now);
    },
    admitInstances: (action, count, now) =>
      draw(`${action}, instances`, rates[`${action}, instances`], count, now),
  };
}

function category(action: string, fields: Fields): keyof typeof rates {
  const narrow = fields.has('MaxResults') || fields.has('Filter.1.Name');
  return wholesale.includes(action) && !narrow ? 'non-mutating, whole' : 'non-mutating';
}
