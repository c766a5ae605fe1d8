/**
 * Everyone's newest record, ours included. Merging is a maximum over (incarnation, sequence), so records may come late,
 * twice and in any order; and only a record's owner may hand it in, so nobody can speak for another.
 */
import type { MemberId } from '../std/member-id.ts';
import { outranks, type NodeRecord } from './record.ts';

/** More members than a cell may have (500) twice over; beyond it a record is refused, not kept. */
const recordsMax = 1_000;

export type Registry = {
  own: NodeRecord;
  readonly records: Map<MemberId, NodeRecord>;
};

export const init = (own: NodeRecord): Registry => ({ own, records: new Map() });

/** Changes the own record; false when nothing differs, and then there is nothing to tell. */
export function revise(registry: Registry, change: Partial<Pick<NodeRecord, 'life' | 'engine'>>): boolean {
  const next = { ...registry.own, ...change };
  if (JSON.stringify(next) === JSON.stringify(registry.own)) return false;
  registry.own = { ...next, sequence: registry.own.sequence + 1 };
  return true;
}

/**
 * `author`: the peer id that handed it in, as authenticated. `stale-self`: it is ours, from an earlier life that
 * outranks this one (the wall clock was set back between); our own record now outranks it and must be told again.
 */
export function merge(
  registry: Registry,
  record: NodeRecord,
  author: string,
): 'news' | 'old' | 'refused' | 'stale-self' {
  if (record.peerId !== author) return 'refused';
  if (record.id === registry.own.id) return mergeOwn(registry, record);
  const known = registry.records.get(record.id);
  if (known === undefined && registry.records.size >= recordsMax) return 'refused';
  if (known !== undefined && !outranks(record, known)) return 'old';
  registry.records.set(record.id, record);
  return 'news';
}

function mergeOwn(registry: Registry, record: NodeRecord): 'old' | 'refused' | 'stale-self' {
  if (record.peerId !== registry.own.peerId) return 'refused';
  if (!outranks(record, registry.own)) return 'old';
  registry.own = { ...registry.own, incarnation: record.incarnation + 1, sequence: 0 };
  return 'stale-self';
}
