import type { MemberId } from '../std/member-id.ts';
import type { Instant } from '../std/time.ts';
import type { Poll } from './ballots.ts';
import type { Link } from './dialling.ts';
import type { Binding } from './events.ts';
import type { Watch } from './ladder.ts';
import type { Endpoint, Health } from './health.ts';
import type { Heard } from './replays.ts';
import type { Lag } from './stamps.ts';
import { seatOf, type Seat } from './rings.ts';

/** One member as we know it. What only few members have at a time (a watch, votes, a dial) hangs on it, null else. */
export type Member = Seat & {
  readonly id: MemberId;
  peerId: string;
  address: Endpoint;
  zone: string;
  /** False: an operator, outside of the rings. */
  voter: boolean;
  health: Health;
  /** When `health` last changed, and what changed it. */
  since: Instant;
  why: string;
  connected: boolean;
  /** When the last connection came to stand, and how many in a row ended before they were worth anything. */
  connectedAt: Instant;
  brief: number;
  /** It was connected with us at some time: then it knows us. */
  met: boolean;
  /** We are hanging up ourselves: the end of this connection says nothing. */
  parting: boolean;
  /** We want a connection with it. */
  wanted: boolean;
  /** The last word from it, of any kind, on its own connection. */
  heardAt: Instant;
  /** What its stamps tell of the way from it to us. */
  lag: Lag | null;
  /** Highest incarnation that its record showed; 0: no record yet. */
  incarnation: number;
  /** What we ourselves hold against it, whatever others say. */
  doubt: 'closed' | 'silent' | 'request' | 'replaced' | null;
  /** Its votes, of the newest of its lives that cast any. */
  heardVotes: Heard | null;
  watch: Watch | null;
  poll: Poll | null;
  link: Link | null;
  /** Who observes it, as of a state of the rings; null: nobody asked yet. */
  observed: { readonly by: readonly Member[]; readonly rings: number } | null;
};

/** Field by field: a large cluster makes a million of these in a simulation, and a node a thousand at its start. */
export function newMember({ id, peerId, address, zone, voter }: Binding, now: Instant): Member {
  const { seatA, seatB } = seatOf(id);
  return {
    // What each beat looks at lies together.
    connected: false,
    heardAt: now,
    lag: null,
    watch: null,
    poll: null,
    health: 'unknown',
    id,
    peerId,
    address,
    zone,
    voter,
    seatA,
    seatB,
    since: now,
    why: 'bound',
    connectedAt: now,
    brief: 0,
    met: false,
    parting: false,
    wanted: false,
    incarnation: 0,
    doubt: null,
    heardVotes: null,
    link: null,
    observed: null,
  };
}

/** Whether it takes part in the rings: who was only not met yet does, so that somebody asks for it. */
export const isLiving = ({ health }: Member): boolean => health !== 'dead' && health !== 'left';

/** As long as the word of a member itself outweighs what others say of it. */
export const freshMs = 600;

export const isFresh = (member: Member, now: Instant): boolean =>
  member.connected && now - member.heardAt <= freshMs;
