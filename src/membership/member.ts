import type { MemberId } from '../std/member-id.ts';
import type { Instant } from '../std/time.ts';

/**
 * unknown: listed, never met. alive: connected and heard. suspect: not usable just now, being wrong is cheap.
 * dead: its process is gone. left: it said goodbye.
 */
export type Health = 'unknown' | 'alive' | 'suspect' | 'dead' | 'left';

export type Endpoint = { readonly host: string; readonly port: number };

export type Member = {
  readonly id: MemberId;
  /** null until the instance has tagged itself. */
  peerId: string | null;
  address: Endpoint | null;
  zone: string;
  health: Health;
  /** When `health` last changed. */
  since: Instant;
  /** EC2 lists its instance as pending or running, and not as left. */
  listed: boolean;
  /** Complete answers of EC2 in a row that did not list it. */
  absences: number;
  connected: boolean;
  /** The last word from it, of any kind. */
  heardAt: Instant;
  /** Highest incarnation that its record showed; null: no record yet. */
  incarnation: number | null;
  dialing: boolean;
  /** Dials in a row that did not succeed. */
  failures: number;
  /** Of those, the last ones in a row that its kernel refused. */
  refusals: number;
  nextDialAt: Instant;
};

export const newMember = (id: MemberId, now: Instant): Member => ({
  id,
  peerId: null,
  address: null,
  zone: '',
  health: 'unknown',
  since: now,
  listed: false,
  absences: 0,
  connected: false,
  heardAt: now,
  incarnation: null,
  dialing: false,
  failures: 0,
  refusals: 0,
  nextDialAt: now,
});
