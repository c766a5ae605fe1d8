/**
 * Routing as one entry node does it: who is asked for what, from what the members tell and from what this node did
 * itself. No entry node hears of another's choices; they agree because they rank members alike for the same prompt.
 *
 *   a prompt whose prefix was placed from here   to who got the longest part of it
 *   a prompt with blocks that nobody knows       to the first by rendezvous of its first telling block
 *   a prompt without a whole block               to who has the least to do
 *   whoever is first has more than its part      to the next
 */
import type { MemberId } from '../std/member-id.ts';
import type { Rng } from '../std/random.ts';
import type { Instant } from '../std/time.ts';
import type { Blocks } from './blocks.ts';
import { choose, type Candidate, type Choice, type Home, type Standing, type Wish } from './choose.ts';
import { noNewcomers, weights, type Newcomers } from './newcomers.ts';
import { ejected, judge, noOutliers, type Outcome, type Outliers } from './outliers.ts';
import { holdersOf, noPrefixes, remember, widthOf, type Prefixes } from './prefixes.ts';
import { hashOf, rankOf } from './rendezvous.ts';
import { addWork, noWork, workOf, type Work } from './work.ts';

/**
 * A member gets prompts for the sake of their prefix up to so many times the mean, and so many blocks more. Tighter, and
 * conversations are torn apart; looser, and the fullest of eight members gets more than a fifth above the mean.
 */
const workFactor = 1.1;
const workSlackBlocks = 256;
/** Above every rank by rendezvous, which is the inverse of a logarithm of 2^-32 at the least. */
const heldRank = 2 ** 40;
const hashesMax = 10_000;

/** `doubted`: an answer from there fell silent a moment ago. */
export type Ready = Omit<Candidate, 'near' | 'weight'> & { readonly zone: string; readonly doubted: boolean };

type Request = {
  readonly model: string;
  readonly standing: Standing<Ready> | null;
  readonly wish: Wish;
  readonly prompt: Blocks;
};

export type Router = {
  readonly zone: string;
  rng: Rng;
  readonly newcomers: Newcomers;
  readonly outliers: Outliers;
  readonly prefixes: Prefixes;
  readonly work: Work;
  readonly hashes: Map<MemberId, number>;
};

export const init = (zone: string, rng: Rng): Router => ({
  ...{ zone, rng, newcomers: noNewcomers(), outliers: noOutliers(), prefixes: noPrefixes(), work: noWork() },
  hashes: new Map(),
});

export function place(router: Router, { model, standing, wish, prompt }: Request, now: Instant): Choice {
  const candidates = standing === null ? [] : candidatesOf(router, { model, ready: standing.ready }, now);
  const sound = soundOf(router, candidates, standing?.ready ?? [], now);
  const home = prompt.length === 0 ? null : homeOf(router, prompt, candidates);
  const decide = (ready: readonly Candidate[]): Choice => {
    const among = standing === null ? null : { ready, starting: standing.starting };
    const [choice, rng] = choose(among, { ...wish, home }, router.rng);
    router.rng = rng;
    return choice;
  };
  const first = decide(sound);
  // Better somebody doubtful than nobody.
  const choice = first.type === 'none' && sound.length < candidates.length ? decide(candidates) : first;
  if (choice.type === 'chosen' && prompt.length > 0) {
    remember(router.prefixes, prompt, choice.member);
    addWork(router.work, choice.member, prompt.length);
  }
  return choice;
}

/**
 * Those that are not left out. When it would be more than half of them, it is not they who are odd, and the rest would
 * have to bear what all did: then only those that fail are left out, then only those that fell silent, and then nobody.
 */
function soundOf(
  { outliers }: Router,
  candidates: readonly Candidate[],
  ready: readonly Ready[],
  now: Instant,
): readonly Candidate[] {
  const silent = ready.filter(({ doubted }) => doubted).map(({ member }) => member);
  const failing = ejected(
    outliers,
    ready.map(({ member }) => member),
    now,
  );
  for (const some of [[...failing, ...silent], failing, silent]) {
    const out = new Set(some);
    if (out.size > 0 && out.size * 2 <= ready.length)
      return candidates.filter(({ member }) => !out.has(member));
  }
  return candidates;
}

/** How a request at this member ended. The result: for how long it is left out from now on, ms; null: no change. */
export const heard = (router: Router, outcome: Outcome, now: Instant): number | null =>
  judge(router.outliers, outcome, now);

function candidatesOf(
  router: Router,
  about: { readonly model: string; readonly ready: readonly Ready[] },
  now: Instant,
): readonly Candidate[] {
  const light = weights(router.newcomers, about, now);
  return about.ready.map(({ member, load, unreported, zone }) => ({
    ...{ member, load, unreported, near: zone === router.zone },
    weight: light.get(member) ?? 1,
  }));
}

function homeOf(router: Router, prompt: Blocks, candidates: readonly Candidate[]): Home {
  const { prefixes, work } = router;
  const wide = widthOf(prefixes, prompt, candidates.length);
  const holders = holdersOf(prefixes, prompt, wide);
  const key = prompt[wide]!;
  const { mean } = workOf(
    work,
    candidates.map(({ member }) => member),
  );
  const bound = workFactor * mean + Math.max(workSlackBlocks, prompt.length);
  return ({ member, weight }) => {
    if ((work.get(member) ?? 0) + prompt.length > bound) return null;
    const held = holders.get(member);
    return held === undefined ? rankOf(key, hashedOf(router, member), weight) : heldRank + held;
  };
}

function hashedOf({ hashes }: Router, member: MemberId): number {
  const known = hashes.get(member);
  if (known !== undefined) return known;
  if (hashes.size >= hashesMax) hashes.clear();
  const hash = hashOf(member);
  hashes.set(member, hash);
  return hash;
}
