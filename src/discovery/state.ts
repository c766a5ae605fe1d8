/** What a node knows of who may be in the cluster, and whom it has to tell what. */
import type { MemberId } from '../std/member-id.ts';
import type { Rng } from '../std/random.ts';
import { instant, never, type Instant } from '../std/time.ts';
import { noQuestions, type Asking } from './asking.ts';
import { noBindings, type Bindings, type Member, type Seen } from './bindings.ts';
import { noClaims, type Claims } from './claims.ts';
import { newPlan, type Plan } from './plan.ts';
import type { Strangers } from './strangers.ts';
import type { Gone } from './telling.ts';

/**
 * Whose list it is that we look at. `shared`: all see the same one, and spare each other the looks. `own`: ours alone,
 * where a look costs nothing, and what others found in theirs counts for nothing.
 */
export type Listing = 'shared' | 'own';

export type State = {
  readonly selfId: MemberId;
  readonly listing: Listing;
  readonly bindings: Bindings;
  /** Instances that the last answer listed with a key that another one has. */
  readonly rivals: Map<MemberId, Seen>;
  /** Of keys that are bound: the other instance that their owners have signed to be. */
  readonly owners: Map<string, MemberId>;
  readonly claims: Claims;
  readonly plan: Plan;
  readonly strangers: Strangers;
  /** Unbound not long ago: those who missed it hear it again. */
  readonly gone: Gone;
  readonly asking: Asking;
  /** Shown not long ago, the latest last: who has just started may have looked before they were there. */
  readonly newcomers: Member[];
  /** The last member that told us anything of its looks. */
  voice: { readonly by: MemberId; readonly at: Instant } | null;
  /** We have had an answer: before it, all is new, and nothing of it is news to others. */
  hasLooked: boolean;
  /** Of those remembered, so many have to answer before we need not look; 0: none are waited for. */
  awaited: number;
  /** When what we know was last noted for a next life. */
  notedAt: Instant;
  /** When it is to be noted for the sake of those who came since. */
  noteAt: Instant;
};

export const init = (
  options: {
    readonly selfId: MemberId;
    readonly selfPeerId: string;
    readonly listing: Listing;
    readonly discoveryMs: number;
    readonly epochOffsetMs: number;
  },
  rng: Rng,
  now: Instant,
): State => ({
  selfId: options.selfId,
  listing: options.listing,
  bindings: noBindings({ id: options.selfId, peerId: options.selfPeerId }),
  rivals: new Map(),
  owners: new Map(),
  claims: noClaims(),
  plan: newPlan({ discoveryMs: options.discoveryMs, epochOffsetMs: options.epochOffsetMs }, rng, now),
  strangers: new Map(),
  gone: new Map(),
  asking: noQuestions(),
  newcomers: [],
  voice: null,
  hasLooked: false,
  awaited: 0,
  notedAt: instant(-Infinity),
  noteAt: never,
});
