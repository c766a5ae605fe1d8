/** One instance as the cloud knows it, and the words EC2 has for it. */
import type { Instant, WallTime } from '../../std/time.ts';
import type { Part } from './hosts.ts';
import type { TagHistory, TagSet } from './tags.ts';

export type Phase = 'pending' | 'running' | 'shutting-down' | 'terminated' | 'stopping' | 'stopped';

export const stateCodes: Readonly<Record<Phase, number>> = {
  pending: 0,
  running: 16,
  'shutting-down': 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
};

/** Why it goes: decides how its processes end and what EC2 names as the reason. */
export type Cause = 'user' | 'group' | 'spot' | 'hardware' | 'exit' | 'launch';

export const reasons: Readonly<Record<Cause, { readonly code: string; readonly message: string }>> = {
  user: { code: 'Client.UserInitiatedShutdown', message: 'User initiated shutdown' },
  group: { code: 'Client.UserInitiatedShutdown', message: 'Terminated by Auto Scaling' },
  spot: { code: 'Server.SpotInstanceTermination', message: 'Spot instance termination' },
  hardware: { code: 'Server.InternalError', message: 'The host of the instance failed' },
  exit: { code: 'Client.InstanceInitiatedShutdown', message: 'Instance initiated shutdown' },
  launch: { code: 'Server.InternalError', message: 'Internal error on launch' },
};

/** What is settled before an instance exists and never changes. */
export type Blueprint = {
  readonly id: string;
  readonly index: number;
  readonly reservationId: string;
  readonly zone: string;
  readonly type: string;
  readonly imageId: string;
  readonly lifecycle: 'spot' | 'on-demand';
  readonly privateIp: string;
  readonly mac: string;
  /** RunInstances' idempotency token; null when none was given. */
  readonly clientToken: string | null;
  /** The Auto Scaling group that keeps it, or null. */
  readonly group: string | null;
  readonly tags: TagSet;
};

export type Instance = Omit<Blueprint, 'tags'> & {
  readonly launchedAt: WallTime;
  readonly phase: Phase;
  /** When the phase ends by itself; infinite while only an outside event can end it. */
  readonly phaseEndsAt: Instant;
  readonly cause: Cause | null;
  /** When the state last changed, for the reason that EC2 shows. */
  readonly changedAt: WallTime;
  /** Its processes may be there: not yet killed, if only frozen. */
  readonly powered: boolean;
  /** From here on the API knows the id; before, it answers InvalidInstanceID.NotFound. */
  readonly visibleAt: Instant;
  readonly tags: TagHistory;
  /** Stopped by SIGSTOP, and not continued yet. */
  readonly frozen: readonly Part[];
  readonly isolated: boolean;
  /** The daemon has ended by itself; the instance runs on without it. */
  readonly exited: boolean;
};

/** In service, as far as EC2 is concerned. */
export const isUp = (instance: Instance): boolean =>
  instance.phase === 'pending' || instance.phase === 'running';

/** EC2 still counts it: it holds its index and its private address. */
export const isHeld = (instance: Instance): boolean => instance.phase !== 'terminated';
