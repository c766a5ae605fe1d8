/**
 * What slows a caller of S3 down: the bandwidth of its own instance, and the request rate of a key prefix, above which
 * S3 answers SlowDown while it splits the partition (S3 User Guide, "Optimizing Amazon S3 performance").
 */
import { pause } from '../../node/pause.ts';
import type { Clock } from '../../node/ports.ts';
import { putNewest } from '../../std/bounded.ts';
import { fullBucket, spend, take, type Rate, type TokenBucket } from '../../std/token-bucket.ts';
import { AwsError } from '../wire/aws-error.ts';
import type { Call } from '../wire/call.ts';

export type Bandwidth = { readonly upBytesPerSecond: number; readonly downBytesPerSecond: number };

/** Requests a second on one prefix of one bucket; AWS: 3,500 and 5,500. */
export type RequestRate = { readonly writes: Rate; readonly reads: Rate };

export const awsRequestRate: RequestRate = {
  writes: { burst: 3500, perSecond: 3500 },
  reads: { burst: 5500, perSecond: 5500 },
};

export type Shaping = {
  /** Throws AwsError 503 SlowDown. `prefix` names a partition: bucket and first folder of the key. */
  admit(prefix: string, kind: 'reads' | 'writes'): void;
  /** The same bytes, no faster than the caller's instance may send them. */
  up(call: Call, bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  down(call: Call, bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
};

/** Partitions and instances remembered; the longest unused is forgotten and begins anew with a full bucket. */
const bucketsMax = 4096;
/** A card passes this much at once before its rate shows, seconds' worth. */
const burstSeconds = 0.1;

export function openShaping(options: {
  readonly clock: Clock;
  readonly requestRate: RequestRate;
  /** Null: not limited. Asked anew for every piece, so a change shows within a transfer. */
  bandwidthOf(instanceId: string): Bandwidth | null;
}): Shaping {
  const { clock } = options;
  const buckets = new Map<string, TokenBucket>();

  function bucket(name: string, rate: Rate): TokenBucket {
    const known = buckets.get(name);
    const same = known !== undefined && known.rate.perSecond === rate.perSecond;
    const found = same ? known : fullBucket(rate, clock.now());
    putNewest(buckets, { key: name, value: found, max: bucketsMax });
    return found;
  }

  async function* shaped(
    { caller, signal }: Call,
    bytes: AsyncIterable<Uint8Array>,
    direction: 'up' | 'down',
  ): AsyncGenerator<Uint8Array> {
    for await (const piece of bytes) {
      const bandwidth = caller.instanceId === null ? null : options.bandwidthOf(caller.instanceId);
      if (bandwidth !== null) {
        const perSecond = bandwidth[`${direction}BytesPerSecond`];
        const rate = { burst: perSecond * burstSeconds, perSecond };
        const waitMs = spend(bucket(`${direction} ${caller.instanceId}`, rate), piece.length, clock.now());
        await pause({ clock, stopping: signal }, waitMs);
      }
      yield piece;
    }
  }

  return {
    admit(prefix, kind) {
      if (take(bucket(`${kind} ${prefix}`, options.requestRate[kind]), 1, clock.now())) return;
      throw new AwsError(503, 'SlowDown', 'Please reduce your request rate.');
    },
    up: (call, bytes) => shaped(call, bytes, 'up'),
    down: (call, bytes) => shaped(call, bytes, 'down'),
  };
}
