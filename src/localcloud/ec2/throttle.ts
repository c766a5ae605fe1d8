/**
 * The token buckets of the EC2 API, per action (the account and the region are this cloud). Every call takes one
 * token, some take one for each instance as well; who finds the bucket empty gets RequestLimitExceeded.
 *
 * Numbers: EC2 Developer Guide, "Request throttling for the Amazon EC2 API", bucket maximum and refill per second.
 */
import type { Instant } from '../../std/time.ts';
import { fullBucket, take, type Rate, type TokenBucket } from '../../std/token-bucket.ts';
import type { Fields } from '../wire/query-api.ts';

const rates = {
  'non-mutating': { burst: 100, perSecond: 20 },
  'non-mutating, whole': { burst: 50, perSecond: 10 },
  CreateTags: { burst: 100, perSecond: 10 },
  DeleteTags: { burst: 100, perSecond: 10 },
  RunInstances: { burst: 5, perSecond: 2 },
  'RunInstances, instances': { burst: 1_000, perSecond: 2 },
  TerminateInstances: { burst: 100, perSecond: 5 },
  'TerminateInstances, instances': { burst: 1_000, perSecond: 20 },
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
