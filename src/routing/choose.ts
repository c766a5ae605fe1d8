/**
 * Which member a request goes to: the one with the least to do, as far as this node knows. Candidates are members whose
 * engine is ready for the model, alive, and not leaving; whoever is none of that never gets here.
 *
 * What a member reported is up to half a second old. Requests that went there from here since then are added, so that
 * a burst, or all streams of a lost member at once, spread over the others instead of landing on whoever was idle a
 * moment ago. A member that has said nothing counts as busier than everyone who has: no news is not good news.
 */
import { assert } from '../std/assert.ts';
import type { MemberId } from '../std/member-id.ts';
import { draw, type Rng } from '../std/random.ts';

/** Requests in an engine's own queue beyond which a new one had better come back later. */
const waitingMax = 256;

export type Candidate = {
  readonly member: MemberId;
  /** null: nothing heard yet. */
  readonly load: { readonly running: number; readonly waiting: number } | null;
  /** Begun from here since then. */
  readonly unreported: number;
};

/** Who serves the model that was asked for, and how many will soon. */
export type Standing = { readonly ready: readonly Candidate[]; readonly starting: number };

export type Choice =
  | { readonly type: 'chosen'; readonly member: MemberId }
  | { readonly type: 'none'; readonly why: 'unknown-model' | 'starting' | 'full' | 'unavailable' };

export type Wish = {
  readonly avoid: readonly MemberId[];
  /** An answer that has begun is continued at a full member rather than nowhere. */
  readonly urgent: boolean;
};

/** `standing`: null when nobody in the cluster knows the model. */
export function choose(standing: Standing | null, wish: Wish, rng: Rng): [choice: Choice, next: Rng] {
  if (standing === null) return [{ type: 'none', why: 'unknown-model' }, rng];
  const open = standing.ready.filter(({ member }) => !wish.avoid.includes(member));
  if (open.length === 0)
    return [{ type: 'none', why: standing.starting > 0 ? 'starting' : 'unavailable' }, rng];
  const roomy = open.filter(({ load }) => load === null || load.waiting < waitingMax);
  if (roomy.length === 0 && !wish.urgent) return [{ type: 'none', why: 'full' }, rng];
  return leastLoaded(roomy.length === 0 ? open : roomy, rng);
}

function leastLoaded(candidates: readonly Candidate[], rng: Rng): [Choice, Rng] {
  const known = candidates.flatMap(({ load }) => (load === null ? [] : [load.running + load.waiting]));
  const unheard = Math.max(-1, ...known) + 1;
  const burden = ({ load, unreported }: Candidate): number =>
    (load === null ? unheard : load.running + load.waiting) + unreported;
  const least = Math.min(...candidates.map(burden));
  const tied = candidates.filter((candidate) => burden(candidate) === least);
  const [index, next] = draw(rng, tied.length);
  const winner = tied[index];
  assert(winner !== undefined, 'somebody is least loaded');
  return [{ type: 'chosen', member: winner.member }, next];
}
