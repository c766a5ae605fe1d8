/** Answers an operator, and whoever scrapes: what this node knows of itself and of the others, as plain data. */
import { memberId } from '../std/member-id.ts';
import { enginePhases, healths, lifePhases, type GaugeName, type GaugeSample } from './facts.ts';
import type { Journals } from './journals.ts';
import type { Node } from './node.ts';
import type { MemberStatus, NodeStatus, Operations } from './operations.ts';
import type { Clock } from './ports.ts';

type Self = {
  readonly cluster: string;
  readonly pid: number;
  readonly addresses: NodeStatus['addresses'];
};

export function openOperations(
  node: Node,
  self: Self,
  { clock, explainStream }: { readonly clock: Clock } & Pick<Operations, 'explainStream'>,
): Operations {
  const startedAt = clock.now();
  return {
    status: () => statusOf(node, self, Math.round(clock.now() - startedAt)),
    members: () => membersOf(node, clock),
    explainMember: (id) => node.cluster.explain(memberId(id)),
    explainStream,
    drain: (reason, withinMs) => node.drain(reason, withinMs),
    leave: async (withinMs) => {
      node.drain('operator', withinMs);
      await node.leaving.left;
    },
  };
}

function statusOf({ cluster, engine, counts }: Node, self: Self, upMs: number): NodeStatus {
  const { id, peerId, role, zone, version, life, engine: shown } = cluster.own();
  const load = engine?.load() ?? null;
  const health = (wanted: string): number =>
    cluster.members().filter((known) => known.health === wanted).length;
  return {
    ...{ id, peerId, role, zone, version, life, upMs },
    cluster: self.cluster,
    pid: self.pid,
    addresses: self.addresses,
    engine: {
      ...shown,
      running: load?.running ?? 0,
      waiting: load?.waiting ?? 0,
      restarts: engine?.status().restarts ?? 0,
    },
    members: { alive: health('alive'), suspect: health('suspect') },
    streams: { entry: counts.entered, serving: engine?.generations() ?? 0, moved: counts.moved },
  };
}

function membersOf({ cluster, engine }: Node, clock: Clock): readonly MemberStatus[] {
  const own = cluster.own();
  const ownLoad = engine?.load() ?? null;
  const self: MemberStatus = {
    ...{ id: own.id, peerId: own.peerId, self: true, health: 'alive', phase: own.life.phase },
    ...{ role: own.role, zone: own.zone, version: own.version, engine: own.engine.phase },
    models: own.engine.phase === 'none' ? [] : own.engine.models,
    load: ownLoad === null ? null : ownLoad.running + ownLoad.waiting,
    heardMs: null,
  };
  const others = cluster
    .members()
    .map(({ id, peerId, zone, health, heardAt, record, load }): MemberStatus => ({
      ...{ id, peerId: peerId ?? '', self: false, health: health === 'unknown' ? 'suspect' : health },
      phase: record?.life.phase ?? 'unknown',
      role: record?.role ?? '',
      zone: record?.zone ?? zone,
      version: record?.version ?? '',
      engine: record?.engine.phase ?? 'unknown',
      models: record === null || record.engine.phase === 'none' ? [] : record.engine.models,
      load: load === null ? null : load.running + load.waiting,
      heardMs: heardAt === null ? null : Math.round(clock.now() - heardAt),
    }));
  return [self, ...others];
}

export function gaugesOf({ cluster, engine }: Node): readonly GaugeSample[] {
  const own = cluster.own();
  const status = engine?.status();
  const requests = [...(status?.load?.byModel ?? [])].flatMap(
    ([model, { running, waiting }]): GaugeSample[] => [
      { name: 'synkti_engine_requests_running', labels: { model }, value: running },
      { name: 'synkti_engine_requests_waiting', labels: { model }, value: waiting },
    ],
  );
  const members = Map.groupBy([{ health: 'alive' }, ...cluster.members()], ({ health }) => health);
  return [
    ...phased('synkti_node_phase', lifePhases, (phase) => (phase === own.life.phase ? 1 : 0)),
    ...phased('synkti_engine_phase', enginePhases, (phase) => (phase === own.engine.phase ? 1 : 0)),
    ...requests,
    ...healths.map((health) => {
      const value = members.get(health)?.length ?? 0;
      return { name: 'synkti_members', labels: { health }, value } as const;
    }),
  ];
}

/** A sample of each phase, in which nobody is of those that are 0. */
const phased = (
  name: GaugeName,
  phases: readonly string[],
  valueOf: (phase: string) => number,
): readonly GaugeSample[] => phases.map((phase) => ({ name, labels: { phase }, value: valueOf(phase) }));

export const journalGauges = (journals: Journals): readonly GaugeSample[] => [
  { name: 'synkti_journals', labels: { whose: 'own' }, value: journals.kept() },
  { name: 'synkti_journals', labels: { whose: 'others' }, value: journals.held().streams },
];
