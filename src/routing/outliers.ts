/**
 * Outlier ejection (as in Envoy, by a moving average instead of a window): a member that answers most of what this node
 * sends it with failures is left out for a while, twice as long each time, whatever membership thinks of it. Its engine
 * may be broken in a way that neither its health nor its token counters show.
 */
import { putNewest } from '../std/bounded.ts';
import type { MemberId } from '../std/member-id.ts';
import { after, type Instant } from '../std/time.ts';

/** Of a new outcome in the share of failures: three failures in a row are enough, every fourth is not. */
const alpha = 0.25;
const shareMax = 0.5;
/** With which share a member comes back: one failure more, and it is out again. */
const shareBack = 0.4;
/** Below it the past is forgiven. */
const shareGood = 0.05;
const ejectMs = 5_000;
const ejectMsMax = 300_000;
const membersMax = 1_000;

type Outlier = { share: number; failedAt: Instant; until: Instant; times: number };
/** In the order of their last failures. */
export type Outliers = Map<MemberId, Outlier>;

/** How a request ended, and when it was sent. */
export type Outcome = { readonly member: MemberId; readonly failed: boolean; readonly begunAt: Instant };

export const noOutliers = (): Outliers => new Map();

/** How long this member is out from now on, ms; null: nothing changes. */
export function judge(outliers: Outliers, { member, failed, begunAt }: Outcome, now: Instant): number | null {
  const known = outliers.get(member);
  if (known === undefined && !failed) return null;
  // A crash ends a hundred requests at once, and is one failure.
  if (failed && known !== undefined && begunAt <= known.failedAt) return null;
  const outlier = known ?? { share: 0, failedAt: now, until: now, times: 0 };
  outlier.share += alpha * ((failed ? 1 : 0) - outlier.share);
  if (failed) {
    outlier.failedAt = now;
    // Most that failed and never came back are long gone: the one whose failure is oldest makes room for a new one.
    putNewest(outliers, { key: member, value: outlier, max: membersMax });
  } else if (outlier.share < shareGood) outliers.delete(member);
  if (outlier.share <= shareMax || now < outlier.until) return null;
  const forMs = Math.min(ejectMsMax, ejectMs * 2 ** outlier.times);
  outlier.times += 1;
  outlier.until = after(now, forMs);
  outlier.share = shareBack;
  return forMs;
}

/** Those that are to be left out just now, however many they are. */
export function ejected(outliers: Outliers, ready: readonly MemberId[], now: Instant): readonly MemberId[] {
  if (outliers.size === 0) return [];
  return ready.filter((member) => now < (outliers.get(member)?.until ?? now));
}
