/**
 * An Auto Scaling group: keeps the desired number of instances by launching and terminating.
 *
 *   launching ──► Pending ──running──► InService ──► Terminating:Wait ──continue, or time──► Terminating ──► (gone)
 *                    └────────────────────┴─────────── lost: out of the group at once ───────────┘
 *
 * What is lost is replaced `replaceAfterMs` later; what a changed desired capacity asks for is launched at once.
 * With capacity rebalancing an instance at risk stops counting: a replacement is launched first, and only when the
 * group is whole without it is the one at risk terminated. That may exceed the maximum by a tenth, as AWS allows.
 *
 * The termination hook is what a node sees in IMDS as `autoscaling/target-lifecycle-state` = Terminated: it has until
 * the heartbeat timeout, which it may prolong, up to a hundred times that or 48 hours. A spot reclaim never waits for it.
 */
import { unreachable } from '../../std/assert.ts';
import { after, earliest, never, type Instant } from '../../std/time.ts';

export type GroupSettings = {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** From the loss of an instance to the launch of its replacement, ms. */
  readonly replaceAfterMs: number;
  readonly capacityRebalance: boolean;
  /** null: instances are terminated without asking. */
  readonly terminationHook: { readonly name: string; readonly heartbeatMs: number } | null;
};

type MemberState = 'Pending' | 'InService' | 'Terminating:Wait' | 'Terminating';

export type GroupMember = {
  readonly zone: string;
  /** Grows with every member: the oldest is the first to go. */
  readonly rank: number;
  readonly state: MemberState;
  readonly atRisk: boolean;
  /** When the hook's heartbeat runs out, and the latest to which heartbeats may move that. */
  readonly hookEndsAt: Instant;
  readonly hookEndsAtMost: Instant;
};

export type Group = {
  readonly settings: GroupSettings;
  desired: number;
  readonly members: Map<string, GroupMember>;
  /** Launches that are due later. */
  scheduled: readonly Instant[];
  /** Launches ordered and not answered by `joined` or `refused` yet. */
  launching: number;
  ranks: number;
};

export type GroupEvent =
  | { readonly type: 'desired'; readonly count: number }
  | { readonly type: 'joined'; readonly id: string; readonly zone: string }
  /** There was no capacity for a launch. */
  | { readonly type: 'refused' }
  /** Launched by somebody else and handed to the group, which grows by it. */
  | { readonly type: 'attached'; readonly id: string; readonly zone: string }
  | { readonly type: 'running'; readonly id: string }
  /** It is shutting down or stopping: whoever wanted that, it serves no more. */
  | { readonly type: 'lost'; readonly id: string }
  | { readonly type: 'at-risk'; readonly id: string }
  | { readonly type: 'hook.completed'; readonly id: string }
  | { readonly type: 'hook.heartbeat'; readonly id: string }
  | { readonly type: 'tick' };

export type GroupEffect =
  /** Answered by `joined` or `refused`. */
  { readonly type: 'launch' } | { readonly type: 'terminate'; readonly id: string };

type Step = readonly [Group, readonly GroupEffect[]];

/** AWS: a hook may be prolonged up to a hundred times its heartbeat, and never beyond 48 hours. */
const heartbeatsMax = 100;
const hookMsMax = 48 * 3_600_000;
/** A tenth more than the maximum while rebalancing, at least one instance (EC2 Auto Scaling, Capacity Rebalancing). */
const excessShare = 0.1;

export const emptyGroup = (settings: GroupSettings): Group => ({
  settings,
  desired: 0,
  members: new Map(),
  scheduled: [],
  launching: 0,
  ranks: 0,
});

export function step(group: Group, event: GroupEvent, now: Instant): Step {
  switch (event.type) {
    case 'desired':
      group.desired = Math.min(group.settings.max, Math.max(group.settings.min, event.count));
      return reconcile(group, { launchAt: now }, now);
    case 'joined':
      group.launching -= 1;
      return join(group, event, now);
    case 'refused':
      group.launching -= 1;
      return reconcile(group, { launchAt: retryAt(group, now) }, now);
    case 'attached':
      group.desired = Math.min(group.settings.max, group.desired + 1);
      return join(group, event, now);
    case 'lost':
      if (!group.members.delete(event.id)) return [group, []];
      return reconcile(group, { launchAt: after(now, group.settings.replaceAfterMs) }, now);
    case 'tick':
      return tick(group, now);
    case 'running':
    case 'at-risk':
    case 'hook.completed':
    case 'hook.heartbeat': {
      const member = group.members.get(event.id);
      return member === undefined ? [group, []] : onMember(group, { ...event, member }, now);
    }
    default:
      return unreachable(event);
  }
}

export const deadline = (group: Group): Instant =>
  earliest(never, ...group.scheduled, ...Array.from(group.members.values(), (member) => member.hookEndsAt));

/** What IMDS shows under autoscaling/target-lifecycle-state; null: never part of the group. */
export function targetState(group: Group, id: string): 'InService' | 'Terminated' | null {
  const state = group.members.get(id)?.state;
  if (state === undefined) return null;
  return state === 'Pending' || state === 'InService' ? 'InService' : 'Terminated';
}

function onMember(
  group: Group,
  event: {
    readonly type: 'running' | 'at-risk' | 'hook.completed' | 'hook.heartbeat';
    readonly id: string;
    readonly member: GroupMember;
  },
  now: Instant,
): Step {
  const { id, member } = event;
  switch (event.type) {
    case 'running':
      if (member.state === 'Pending') group.members.set(id, { ...member, state: 'InService' });
      return reconcile(group, { launchAt: now }, now);
    case 'at-risk':
      if (!group.settings.capacityRebalance || member.atRisk) return [group, []];
      group.members.set(id, { ...member, atRisk: true });
      return reconcile(group, { launchAt: now }, now);
    case 'hook.completed':
      return member.state === 'Terminating:Wait' ? [group, [proceed(group, id, member)]] : [group, []];
    case 'hook.heartbeat': {
      if (member.state !== 'Terminating:Wait') return [group, []];
      const prolonged = after(now, group.settings.terminationHook?.heartbeatMs ?? 0);
      group.members.set(id, { ...member, hookEndsAt: earliest(prolonged, member.hookEndsAtMost) });
      return [group, []];
    }
    default:
      return unreachable(event.type);
  }
}

function join(group: Group, { id, zone }: { id: string; zone: string }, now: Instant): Step {
  group.ranks += 1;
  group.members.set(id, {
    zone,
    rank: group.ranks,
    state: 'Pending',
    atRisk: false,
    hookEndsAt: never,
    hookEndsAtMost: never,
  });
  return reconcile(group, { launchAt: now }, now);
}

function tick(group: Group, now: Instant): Step {
  const due = group.scheduled.filter((at) => at <= now).length;
  group.scheduled = group.scheduled.filter((at) => at > now);
  group.launching += due;
  const ended = [...group.members].filter(([, member]) => member.hookEndsAt <= now);
  return [
    group,
    [
      ...Array.from({ length: due }, (): GroupEffect => ({ type: 'launch' })),
      ...ended.map(([id, member]) => proceed(group, id, member)),
    ],
  ];
}

/** Launches what is missing at `launchAt`, calls off launches that are not needed any more, lets go of the surplus. */
function reconcile(group: Group, when: { readonly launchAt: Instant }, now: Instant): Step {
  const staying = [...group.members].filter(([, { state, atRisk }]) => !atRisk && isCounted(state));
  const leaving = [...group.members].filter(([, { state, atRisk }]) => atRisk && isCounted(state));
  const excess = Math.max(1, Math.floor(group.settings.max * excessShare));
  const room = group.settings.max + (leaving.length > 0 ? excess : 0) - leaving.length;
  const wanted = Math.min(group.desired, room) - group.launching - staying.length;
  if (wanted <= group.scheduled.length) group.scheduled = group.scheduled.slice(0, Math.max(0, wanted));
  else {
    const missing = wanted - group.scheduled.length;
    group.scheduled = [...group.scheduled, ...Array<Instant>(missing).fill(when.launchAt)];
  }
  const inService = staying.filter(([, { state }]) => state === 'InService').length;
  const relieved = leaving.slice(0, Math.max(0, inService + leaving.length - group.desired));
  const surplus = victims(staying, staying.length + group.launching - group.desired);
  return [group, [...relieved, ...surplus].flatMap(([id, member]) => release(group, { id, member }, now))];
}

/** The zone with most members gives first, and there the oldest: AWS's default termination policy. */
function victims(
  members: readonly (readonly [string, GroupMember])[],
  count: number,
): readonly (readonly [string, GroupMember])[] {
  const left = new Map(members);
  const chosen: (readonly [string, GroupMember])[] = [];
  while (chosen.length < count && left.size > 0) {
    const crowd = Map.groupBy(left.values(), ({ zone }) => zone);
    const size = ({ zone }: GroupMember): number => crowd.get(zone)?.length ?? 0;
    const [next] = [...left].sort(([, a], [, b]) => size(b) - size(a) || a.rank - b.rank);
    if (next === undefined) break;
    left.delete(next[0]);
    chosen.push(next);
  }
  return chosen;
}

function release(
  group: Group,
  of: { id: string; member: GroupMember },
  now: Instant,
): readonly GroupEffect[] {
  const { id, member } = of;
  const hook = group.settings.terminationHook;
  if (hook === null || member.state === 'Pending') return [proceed(group, id, member)];
  group.members.set(id, {
    ...member,
    state: 'Terminating:Wait',
    hookEndsAt: after(now, hook.heartbeatMs),
    hookEndsAtMost: after(now, Math.min(hookMsMax, heartbeatsMax * hook.heartbeatMs)),
  });
  return [];
}

function proceed(group: Group, id: string, member: GroupMember): GroupEffect {
  group.members.set(id, { ...member, state: 'Terminating', hookEndsAt: never, hookEndsAtMost: never });
  return { type: 'terminate', id };
}

const isCounted = (state: MemberState): boolean => state === 'Pending' || state === 'InService';

/** Where capacity is missing, AWS tries again later; never in a tight loop, ms. */
const retryMsMin = 1_000;
const retryAt = (group: Group, now: Instant): Instant =>
  after(now, Math.max(retryMsMin, group.settings.replaceAfterMs));
