/**
 * Which member a request goes to: where its prompt is at home, as long as that member has not much more to do than the
 * others; else the one with the least to do, as far as this node knows. Candidates are members whose engine is ready for
 * the model, alive, and not leaving; whoever is none of that never gets here.
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
/** Share of its KV cache in use above which an engine soon takes running requests back to make room. */
const kvUsageMax = 0.95;
/** A member is asked for the sake of a prefix up to so many times the mean of requests, and so many more. */
const boundFactor = 1.25;
const boundSlack = 4;

export type Candidate = {
  readonly member: MemberId;
  /** null: nothing heard yet. `kvUsage`: share of the KV cache, 0 to 1; absent: not told. */
  readonly load: {
    readonly running: number;
    readonly waiting: number;
    readonly kvUsage?: number | undefined;
  } | null;
  /** Begun from here since then. */
  readonly unreported: number;
  /** In the zone of this node. */
  readonly near: boolean;
  /** Part of an ordinary share that it gets, above 0; 1 unless it is new. */
  readonly weight: number;
};

/** Who serves the model that was asked for, and how many will soon. */
export type Standing<C = Candidate> = { readonly ready: readonly C[]; readonly starting: number };

export type Choice =
  | { readonly type: 'chosen'; readonly member: MemberId }
  | { readonly type: 'none'; readonly why: 'unknown-model' | 'starting' | 'full' | 'unavailable' };

export type Wish = {
  readonly avoid: readonly MemberId[];
  /** An answer that has begun is continued at a full member rather than nowhere. */
  readonly urgent: boolean;
};

/** Where a prompt is at home: the higher, the more; null: nowhere, or that member has had its part. */
export type Home = (candidate: Candidate) => number | null;

/** `standing`: null when nobody in the cluster knows the model. */
export function choose(
  standing: Standing | null,
  { avoid, urgent, home }: Wish & { readonly home: Home | null },
  rng: Rng,
): [choice: Choice, next: Rng] {
  if (standing === null) return [{ type: 'none', why: 'unknown-model' }, rng];
  const open = standing.ready.filter(({ member }) => !avoid.includes(member));
  if (open.length === 0)
    return [{ type: 'none', why: standing.starting > 0 ? 'starting' : 'unavailable' }, rng];
  const roomy = open.filter(({ load }) => load === null || load.waiting < waitingMax);
  if (roomy.length === 0 && !urgent) return [{ type: 'none', why: 'full' }, rng];
  const able = roomy.length === 0 ? open : roomy;
  const easy = able.filter(({ load }) => (load?.kvUsage ?? 0) < kvUsageMax);
  const burdened = withBurden(easy.length === 0 ? able : easy);
  const atHome = home === null ? null : bestHome(burdened, home);
  return atHome === null ? leastLoaded(burdened, rng) : [{ type: 'chosen', member: atHome }, rng];
}

type Burdened = { readonly candidate: Candidate; readonly burden: number };

function withBurden(candidates: readonly Candidate[]): readonly Burdened[] {
  const known = candidates.flatMap(({ load }) => (load === null ? [] : [load.running + load.waiting]));
  const unheard = Math.max(-1, ...known) + 1;
  return candidates.map((candidate) => {
    const { load, unreported } = candidate;
    return { candidate, burden: (load === null ? unheard : load.running + load.waiting) + unreported };
  });
}

/** null: nobody that it is at home with has room for it. */
function bestHome(burdened: readonly Burdened[], home: Home): MemberId | null {
  const mean = burdened.reduce((sum, { burden }) => sum + burden, 0) / burdened.length;
  const bound = boundFactor * mean + boundSlack;
  let best: MemberId | null = null;
  let highest = -Infinity;
  for (const { candidate, burden } of burdened) {
    if (burden > bound) continue;
    const rank = home(candidate);
    if (rank === null || rank <= highest) continue;
    [best, highest] = [candidate.member, rank];
  }
  return best;
}

/** Who is new counts each request several times. Among equals those nearby, and among these the lot. */
function leastLoaded(burdened: readonly Burdened[], rng: Rng): [Choice, Rng] {
  const weighed = ({ candidate, burden }: Burdened): number => (burden + 1) / candidate.weight;
  const least = Math.min(...burdened.map(weighed));
  const tied = burdened.filter((one) => weighed(one) === least).map(({ candidate }) => candidate);
  const near = tied.filter((candidate) => candidate.near);
  const among = near.length === 0 ? tied : near;
  const [index, next] = draw(rng, among.length);
  const winner = among[index];
  assert(winner !== undefined, 'somebody is least loaded');
  return [{ type: 'chosen', member: winner.member }, next];
}
