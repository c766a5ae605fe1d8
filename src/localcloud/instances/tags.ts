/**
 * The tags of one instance, with EC2's eventual consistency: a write is the truth at once (IMDS shows it live) but
 * DescribeInstances and DescribeTags may still answer with an older set for a moment.
 */
import type { Instant } from '../../std/time.ts';

export type TagSet = Readonly<Record<string, string>>;

/** In the order written; the last is the truth, and is what readers see from its `visibleAt` on. Never empty. */
export type TagHistory = readonly { readonly visibleAt: Instant; readonly tags: TagSet }[];

/** Old versions kept while new ones are not visible yet: a node writes its tags a few times a minute at most. */
const versionsMax = 20;

export type TagChange =
  | { readonly type: 'set'; readonly tags: TagSet }
  /** Deletes a key whatever its value (null), or only if it has this value. */
  | {
      readonly type: 'delete';
      readonly tags: readonly { readonly key: string; readonly value: string | null }[];
    }
  /** Every tag of the user; those that start with `aws:` belong to AWS and stay. */
  | { readonly type: 'clear' };

export const truth = (history: TagHistory): TagSet => history.at(-1)?.tags ?? {};

/** What an API read sees: the newest version that has become visible. */
export const visible = (history: TagHistory, now: Instant): TagSet =>
  history.findLast((version) => version.visibleAt <= now)?.tags ?? {};

export function written(
  history: TagHistory,
  change: TagChange,
  at: { readonly now: Instant; readonly visibleAt: Instant },
): TagHistory {
  const shown = Math.max(
    0,
    history.findLastIndex((version) => version.visibleAt <= at.now),
  );
  const next = { visibleAt: at.visibleAt, tags: changed(truth(history), change) };
  return [...history.slice(shown), next].slice(-versionsMax);
}

function changed(tags: TagSet, change: TagChange): TagSet {
  switch (change.type) {
    case 'set':
      return { ...tags, ...change.tags };
    case 'delete': {
      const goes = (key: string, value: string): boolean =>
        change.tags.some((tag) => tag.key === key && (tag.value === null || tag.value === value));
      return Object.fromEntries(Object.entries(tags).filter(([key, value]) => !goes(key, value)));
    }
    case 'clear':
      return Object.fromEntries(Object.entries(tags).filter(([key]) => key.startsWith('aws:')));
  }
}
