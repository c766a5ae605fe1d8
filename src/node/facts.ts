/**
 * Everything that the node reports, once. A fact becomes a log line and, where it has a `counter`, a Prometheus
 * counter; what it says of how long something took becomes a histogram (`histograms.ts`); a gauge is read when somebody
 * scrapes. One table, so that log, metrics and dashboard cannot disagree.
 *
 * Levels: `error` a person must act; `warn` degraded, will mend by itself; `info` the node's life, a handful an
 * hour; `debug` per request. No fact carries prompts, completions, token ids or keys.
 */
import type { FailureReason } from '../engine/facts.ts';
import type { Health } from '../membership/health.ts';
import type { DrainReason, EngineStatus, Life } from '../registry/record.ts';
import type { LossCause } from '../stream/loss.ts';

/** Only fields with few values: a series that is not there before its first event shows no rate of it. */
type Labels = Readonly<Record<string, readonly string[]>>;

export type FactShape = {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  readonly counter?: {
    readonly name: `synkti_${string}_total`;
    readonly help: string;
    /** The fact's fields that become labels, each with the values that it may have as far as they are known. */
    readonly labels?: Labels;
    /** The field to add up; without it each fact counts one. */
    readonly sum?: string;
  };
};

/** Of a union: what is new there and missing here does not compile. */
const every = <T extends string>(values: Readonly<Record<T, true>>): readonly T[] =>
  Object.keys(values) as T[];

const causes = every<LossCause>({
  ...{ drain: true, dead: true, suspect: true, eof: true, reset: true, silence: true, error: true },
  ...{ abort: true, 'bare-done': true, status: true, mismatch: true, nonsense: true, crowded: true },
  ...{ defect: true, unreached: true, engine: true },
});
const reasons = every<DrainReason>({
  ...{ interruption: true, lifecycle: true, maintenance: true, signal: true, operator: true },
});
const failures = every<FailureReason>({
  ...{ spawn: true, late: true, exited: true, wedged: true, silent: true, dead: true },
});
export const lifePhases = every<Life['phase']>({ joining: true, serving: true, draining: true, left: true });
export const enginePhases = every<EngineStatus['phase']>({
  ...{ none: true, starting: true, ready: true, down: true },
});
export const healths = every<Health>({
  ...{ unknown: true, alive: true, suspect: true, dead: true, left: true },
});

export const facts = {
  'node.configured': { level: 'info' },
  'node.started': { level: 'info' },
  'node.stopped': { level: 'info' },
  'node.serving': { level: 'info' },
  'node.untagged': { level: 'warn' },
  'node.stumbled': { level: 'error' },
  'membership.failed': { level: 'error' },
  'membership.unclosed': { level: 'warn' },
  'membership.unheard': { level: 'warn' },
  'member.failing': { level: 'debug' },
  'member.ejected': {
    level: 'warn',
    counter: {
      name: 'synkti_members_ejected_total',
      help: 'Times that routing left a member out for a while, because most of its answers were failures.',
    },
  },
  'member.joined': { level: 'info' },
  'member.suspected': {
    level: 'warn',
    counter: { name: 'synkti_members_suspected_total', help: 'Members that stopped answering.' },
  },
  'member.recovered': { level: 'info' },
  'member.died': {
    level: 'warn',
    counter: { name: 'synkti_members_died_total', help: 'Members whose process was gone.' },
  },
  'member.left': { level: 'info' },
  'member.forgotten': { level: 'info' },
  'membership.stalled': {
    level: 'warn',
    counter: {
      name: 'synkti_membership_stalls_total',
      help: 'Times that the membership thread stood still and judged every silence anew.',
    },
  },
  'membership.isolated': { level: 'error' },
  'membership.refuted': { level: 'warn' },
  'membership.overfull': { level: 'error' },
  'peer.denied': {
    level: 'warn',
    counter: {
      name: 'synkti_peers_denied_total',
      help: 'Peers that no instance of the cluster vouched for.',
      sum: 'times',
    },
  },
  'message.stumbled': { level: 'error' },
  'peer.refused': { level: 'debug' },
  'peer.flooding': {
    level: 'warn',
    counter: {
      name: 'synkti_peers_flooding_total',
      help: 'Connections ended because a member sent more than a node takes.',
    },
  },
  'peer.incompatible': { level: 'error' },
  'record.forged': {
    level: 'warn',
    counter: { name: 'synkti_records_forged_total', help: "Records whose signature was not their owner's." },
  },
  'record.flooding': { level: 'warn' },
  'record.oversized': { level: 'error' },
  'record.outlived': { level: 'warn' },
  'registry.overfull': { level: 'error' },
  'discovery.failed': {
    level: 'warn',
    counter: { name: 'synkti_discovery_failures_total', help: 'Looks at EC2 that failed.' },
  },
  'discovery.overfull': { level: 'error' },
  'memory.failed': { level: 'warn' },
  'interruption.noticed': {
    level: 'warn',
    counter: {
      name: 'synkti_interruptions_total',
      help: 'Interruption notices, by action.',
      labels: { action: ['terminate', 'stop', 'hibernate'] },
    },
  },
  'rebalance.recommended': { level: 'warn' },
  'lifecycle.ending': { level: 'warn' },
  'maintenance.near': { level: 'warn' },
  'imds.awaited': { level: 'warn' },
  'imds.blind': { level: 'error' },
  'imds.sighted': { level: 'info' },
  'stream.moved': {
    level: 'info',
    counter: {
      name: 'synkti_streams_moved_total',
      help: 'Generations continued on another node, by cause.',
      labels: { cause: causes },
    },
  },
  'stream.unanswered': { level: 'info' },
  'stream.begun': { level: 'debug' },
  'stream.resumed': { level: 'debug' },
  'stream.finished': {
    level: 'debug',
    counter: {
      name: 'synkti_generated_tokens_total',
      help: 'Tokens of finished answers that entered here.',
      sum: 'tokens',
    },
  },
  'stream.failed': {
    level: 'warn',
    counter: {
      name: 'synkti_streams_failed_total',
      help: 'Answers that broke off and could not be continued, by cause.',
      labels: { cause: [...causes, 'no-place'] },
    },
  },
  'stream.abandoned': {
    level: 'debug',
    counter: { name: 'synkti_streams_abandoned_total', help: 'Answers whose client left.' },
  },
  'stream.handedOver': {
    level: 'info',
    counter: {
      name: 'synkti_streams_handed_over_total',
      help: 'Answers that this node let go of because another entry node goes on with them, by reason.',
      labels: { why: ['drain', 'taken'] },
    },
  },
  'stream.outgrown': {
    level: 'warn',
    counter: {
      name: 'synkti_streams_outgrown_total',
      help: 'Answers that ran on without their log, because the logs of this node took too much room.',
    },
  },
  'journal.recopied': {
    level: 'info',
    counter: {
      name: 'synkti_journals_recopied_total',
      help: 'Logs of answers whose last copy was here, and that another node has as well now.',
      sum: 'logs',
    },
  },
  'journal.alone': {
    level: 'warn',
    counter: {
      name: 'synkti_journals_alone_total',
      help: 'Logs of answers whose last copy was here, and that no other node took.',
      sum: 'logs',
    },
  },
  'stream.entryLost': {
    level: 'warn',
    counter: {
      name: 'synkti_streams_entry_lost_total',
      help: 'Answers that ended with this node, because their client was connected here.',
    },
  },
  'request.answered': {
    level: 'debug',
    counter: {
      name: 'synkti_requests_total',
      help: 'Requests of clients, by route and status.',
      labels: { route: [], status: ['200', '400', '429', '499', '500', '502', '503'] },
    },
  },
  'request.admitted': { level: 'debug' },
  'request.limited': {
    level: 'debug',
    counter: {
      name: 'synkti_requests_limited_total',
      help: 'Requests refused because their key was over a limit, by limit.',
      labels: { what: ['requests', 'tokens'] },
    },
  },
  'request.unplaced': {
    level: 'warn',
    counter: {
      name: 'synkti_requests_unplaced_total',
      help: 'Requests that waited for room at a model and found none, by reason.',
      labels: { why: ['full', 'late'] },
    },
  },
  'request.cut': {
    level: 'warn',
    counter: {
      name: 'synkti_requests_cut_total',
      help: 'Responses that nobody read, by reason.',
      labels: { why: ['unread', 'stuck', 'accept'] },
    },
  },
  'request.stumbled': { level: 'error' },
  'keys.loaded': { level: 'info' },
  'keys.refused': { level: 'error' },
  'keys.absent': { level: 'warn' },
  'certificate.loaded': { level: 'info' },
  'certificate.refused': { level: 'error' },
  'drain.started': {
    level: 'info',
    counter: {
      name: 'synkti_drains_total',
      help: 'Drains that began, by reason.',
      labels: { reason: reasons },
    },
  },
  'drain.handing': {
    level: 'info',
    counter: {
      name: 'synkti_drain_generations_total',
      help: 'Generations that ran here when a drain began.',
      sum: 'generations',
    },
  },
  'drain.advanced': { level: 'info' },
  'drain.empty': { level: 'info' },
  'drain.overdue': { level: 'warn' },
  'drain.handedOn': { level: 'info' },
  'drain.stumbled': { level: 'warn' },
  'drain.left': { level: 'info' },
  'engine.adopted': { level: 'info' },
  'engine.spawned': { level: 'info' },
  'engine.ready': { level: 'info' },
  'engine.unwarmed': { level: 'warn' },
  'engine.unsampled': { level: 'warn' },
  'engine.failed': {
    level: 'warn',
    counter: {
      name: 'synkti_engine_failures_total',
      help: 'Ends of the local engine that nobody ordered, by reason.',
      labels: { why: failures },
    },
  },
  'engine.exited': { level: 'info' },
  'engine.retrying': { level: 'warn' },
  'engine.restarted': {
    level: 'info',
    counter: { name: 'synkti_engine_restarts_total', help: 'Starts of the local engine after a failure.' },
  },
  'engine.exhausted': { level: 'error' },
  'engine.unswept': { level: 'error' },
  'engine.hindered': { level: 'warn' },
  'engine.unhindered': { level: 'info' },
  'engine.stopping': { level: 'info' },
  'engine.stopped': { level: 'info' },
  'lease.acquired': {
    level: 'info',
    counter: {
      name: 'synkti_leases_acquired_total',
      help: 'Leases that this node took, by duty.',
      labels: { duty: [] },
    },
  },
  'lease.lapsed': { level: 'warn' },
  'lease.regained': { level: 'info' },
  'lease.lost': {
    level: 'warn',
    counter: {
      name: 'synkti_leases_lost_total',
      help: 'Leases that another took, by duty.',
      labels: { duty: [] },
    },
  },
  'lease.released': { level: 'info' },
  'lease.stalled': { level: 'warn' },
  'lease.slipped': { level: 'warn' },
  'lease.failed': { level: 'warn' },
  'lease.refused': {
    level: 'warn',
    counter: {
      name: 'synkti_leases_refused_total',
      help: 'Effects that a higher epoch kept from being committed, by duty.',
      labels: { duty: [] },
    },
  },
  'cloud.instance': { level: 'info' },
  'cloud.interruption': { level: 'warn' },
  'cloud.rebalance': { level: 'warn' },
  'cloud.host.failed': { level: 'error' },
  'cloud.failed': { level: 'error' },
} as const satisfies Record<string, FactShape>;

export type FactName = keyof typeof facts;
export type Fact = { readonly fact: FactName; readonly [field: string]: string | number | boolean | null };
export type Report = (fact: Fact) => void;

/** name: [help, labels]. */
export const gauges = {
  process_resident_memory_bytes: { help: 'Memory of the daemon, without its engine.', labels: [] },
  process_open_fds: { help: 'File descriptors that the daemon has open.', labels: [] },
  process_max_fds: { help: 'File descriptors that it may have open.', labels: [] },
  process_start_time_seconds: { help: 'When the daemon started, in seconds since 1970.', labels: [] },
  synkti_build_info: {
    help: 'Always 1; the labels say which version runs, of which commit, on which Node.js.',
    labels: ['version', 'commit', 'nodejs'],
  },
  synkti_node_phase: { help: 'The phase in which this node is: 1, every other 0.', labels: ['phase'] },
  synkti_engine_phase: {
    help: 'The phase in which the local engine is: 1, every other 0.',
    labels: ['phase'],
  },
  synkti_engine_requests_running: { help: 'Requests running on the local engine.', labels: ['model'] },
  synkti_engine_requests_waiting: { help: 'Requests waiting in the local engine.', labels: ['model'] },
  synkti_membership_lag_seconds: {
    help: 'How late the membership thread ran its last timer of one second.',
    labels: [],
  },
  synkti_members: {
    help: 'Members as this node sees them, itself among them, by health.',
    labels: ['health'],
  },
  synkti_journals: {
    help: 'Streams whose journal this node holds: its own, and copies for other nodes.',
    labels: ['whose'],
  },
} as const satisfies Record<string, { readonly help: string; readonly labels: readonly string[] }>;

/** Totals that are kept elsewhere and read when somebody scrapes. */
export const totals = {
  process_cpu_seconds_total: { help: 'CPU time of the daemon, without its engine.' },
  synkti_membership_cpu_seconds_total: { help: 'CPU time of the membership thread.' },
  synkti_membership_beats_sent_total: { help: 'Beats sent to members that observe this node.' },
  synkti_membership_beats_heard_total: { help: 'Beats heard of members that this node observes.' },
  synkti_membership_bytes_sent_total: { help: 'Bytes given to the peer-to-peer network, before encryption.' },
} as const satisfies Record<`${string}_total`, { readonly help: string }>;

export type TotalSample = { readonly name: keyof typeof totals; readonly value: number };

export type GaugeName = keyof typeof gauges;
export type GaugeSample = {
  readonly name: GaugeName;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
};
