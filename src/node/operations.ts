/**
 * What an operator may ask of a node: the contract between the control API, the commands and the node.
 * Times in milliseconds; `…At` and `deadline` are epoch milliseconds.
 */
import type { DrainReason, EngineStatus, Life } from '../registry/record.ts';
import type { MemberExplanation } from './explanation.ts';
import type { StreamExplanation } from './stream-explanation.ts';

export type NodeStatus = {
  readonly id: string;
  readonly peerId: string;
  readonly cluster: string;
  readonly role: string;
  readonly zone: string;
  readonly version: string;
  readonly pid: number;
  readonly upMs: number;
  readonly life: Life;
  readonly engine: EngineStatus & {
    readonly running: number;
    readonly waiting: number;
    readonly restarts: number;
  };
  readonly addresses: { readonly api: string; readonly peer: string; readonly p2p: string };
  readonly members: { readonly alive: number; readonly suspect: number };
  readonly streams: { readonly entry: number; readonly serving: number; readonly moved: number };
};

export type MemberStatus = {
  readonly id: string;
  readonly peerId: string;
  readonly self: boolean;
  /** As this node judges it. */
  readonly health: 'alive' | 'suspect' | 'dead' | 'left';
  readonly phase: Life['phase'] | 'unknown';
  readonly role: string;
  readonly zone: string;
  readonly version: string;
  readonly engine: EngineStatus['phase'] | 'unknown';
  readonly models: readonly string[];
  /** Requests running and waiting there as last heard; null when nothing was heard. */
  readonly load: number | null;
  /** Since the last word from it, ms. */
  readonly heardMs: number | null;
};

export type Operations = {
  status(): NodeStatus;
  members(): readonly MemberStatus[];
  /** null: no such member is known. */
  explainMember(id: string): Promise<MemberExplanation | null>;
  /** Failure `missing`: nobody who was asked knows it. */
  explainStream(id: string): Promise<StreamExplanation>;
  /** Starts the drain and returns at once; a second call changes nothing but may bring the deadline forward. */
  drain(reason: DrainReason, withinMs: number): void;
  /** Resolves when the node has left the cluster and stopped its engine; the process then exits by itself. */
  leave(withinMs: number): Promise<void>;
};
