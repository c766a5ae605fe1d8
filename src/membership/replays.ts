/**
 * Which votes of a voter are new. Votes on different subjects pass each other on the way: by gossip they come over
 * several hops, and one that is a tenth of a second late is as good as any. Of two on one subject the later one says
 * what the voter holds now. So the newest on each subject is kept, and nothing up to it counts again.
 */
import type { MemberId } from '../std/member-id.ts';
import type { Vote } from './events.ts';

/**
 * As many as a member watches at once. When a voter says more, because half of a cluster went dark, what is older than
 * its last 64 counts no more.
 */
const subjectsMax = 64;

/** What has been heard of one voter in one of its lives. */
export type Heard = {
  readonly life: number;
  /** Nothing up to this is new, but of the subjects below. */
  forgotten: number;
  /** One a subject. A list, because most voters vote on few, and in a large cluster every member keeps many of these. */
  readonly newest: { readonly subject: MemberId; sequence: number }[];
};

export const nothingHeard = (life: number): Heard => ({ life, forgotten: -1, newest: [] });

/** True once for each vote, unless a later one on the same subject came before it. */
export function isNews(heard: Heard, { subject, sequence }: Pick<Vote, 'subject' | 'sequence'>): boolean {
  const known = heard.newest.find((one) => one.subject === subject);
  if (sequence <= (known?.sequence ?? heard.forgotten)) return false;
  if (known !== undefined) known.sequence = sequence;
  else heard.newest.push({ subject, sequence });
  if (heard.newest.length > subjectsMax) forgetOldest(heard);
  return true;
}

function forgetOldest(heard: Heard): void {
  const { newest } = heard;
  const oldest = newest.reduce((least, one) => (one.sequence < least.sequence ? one : least));
  newest.splice(newest.indexOf(oldest), 1);
  heard.forgotten = Math.max(heard.forgotten, oldest.sequence);
}
