/** What is done to a node while its engine is answering, and whether that was a kill. */
import { setTimeout as pause } from 'node:timers/promises';
import { unreachable } from '../../src/std/assert.ts';
import { processes } from '../../src/os/processes.ts';
import type { DevCluster, DevNode } from '../cluster/dev-cluster.ts';
import { partsOf, type Part } from './engine-processes.ts';
import type { ModelName } from './questions.ts';

export type Wound =
  | { readonly type: 'signal'; readonly part: Part; readonly signal: 'SIGKILL' | 'SIGTERM' }
  | { readonly type: 'stop'; readonly part: Part }
  | { readonly type: 'kill'; readonly which: 'daemon' | 'instance' }
  | { readonly type: 'notice' };

export type Round = {
  readonly name: string;
  readonly wound: Wound;
  /** Index of the node. */
  readonly victim: number;
  /** Streams that can go on at another entry node enter at the victim. */
  readonly entry: boolean;
};

const signal = (part: Part, name: 'SIGKILL' | 'SIGTERM'): Wound => ({ type: 'signal', part, signal: name });
const killed = (which: 'daemon' | 'instance'): Wound => ({ type: 'kill', which });

/** A node that does not come back is hit last. */
export const rounds: Readonly<Record<ModelName, readonly Round[]>> = {
  random: [
    { name: 'stopped core', wound: { type: 'stop', part: 'core' }, victim: 0, entry: false },
    { name: 'killed core', wound: signal('core', 'SIGKILL'), victim: 1, entry: false },
    { name: 'killed daemon', wound: killed('daemon'), victim: 2, entry: false },
    { name: 'killed entry node', wound: killed('instance'), victim: 1, entry: true },
    { name: 'notice', wound: { type: 'notice' }, victim: 0, entry: false },
  ],
  script: [
    { name: 'stopped server', wound: { type: 'stop', part: 'server' }, victim: 0, entry: false },
    { name: 'killed server', wound: signal('server', 'SIGKILL'), victim: 1, entry: false },
    { name: 'killed daemon', wound: killed('daemon'), victim: 2, entry: false },
    { name: 'ended server', wound: signal('server', 'SIGTERM'), victim: 0, entry: false },
    { name: 'killed core', wound: signal('core', 'SIGKILL'), victim: 2, entry: false },
    { name: 'killed entry node', wound: killed('instance'), victim: 1, entry: true },
    { name: 'notice', wound: { type: 'notice' }, victim: 0, entry: false },
  ],
};

export const isKill = ({ wound }: Round): boolean =>
  wound.type === 'kill' || (wound.type === 'signal' && wound.signal === 'SIGKILL');

/** The node does not come back from it. */
export const isFinal = ({ wound }: Round): boolean =>
  wound.type === 'notice' || (wound.type === 'kill' && wound.which === 'instance');

/** A client that is connected there can stay. */
export const keepsEntry = ({ wound }: Round): boolean => wound.type === 'signal' || wound.type === 'stop';

/** Of a notice: the time of the node until its end, ms. */
const noticeMs = 30_000;
/** Longer than the silence after which a stream is moved. */
const stoppedMs = 6_000;
const orderMs = 5_000;

/** Resolves when it is over; the node may be recovering from it. */
export async function inflict(wound: Wound, cluster: DevCluster, victim: DevNode): Promise<void> {
  switch (wound.type) {
    case 'signal': {
      const [target] = await one(cluster, victim, wound.part);
      if (!processes.signal(target, wound.signal)) throw new Error(`${wound.part}: gone already`);
      return;
    }
    case 'stop': {
      const [target] = await one(cluster, victim, wound.part);
      processes.signal(target, 'SIGSTOP');
      await pause(stoppedMs);
      processes.signal(target, 'SIGCONT');
      return;
    }
    case 'kill':
      await cluster.cloud('kill', { instance: victim.id, which: wound.which }, AbortSignal.timeout(orderMs));
      return;
    case 'notice':
      await cluster.cloud('interrupt', { instance: victim.id, noticeMs }, AbortSignal.timeout(orderMs));
      return;
    default:
      return unreachable(wound);
  }
}

async function one(cluster: DevCluster, victim: DevNode, part: Part) {
  const [target] = await partsOf(cluster.dir, victim, part);
  if (target === undefined) throw new Error(`node ${victim.node}: no ${part} of an engine runs there`);
  return [target] as const;
}
