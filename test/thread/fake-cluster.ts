/** A cluster that keeps what it is told, for the thread's end of the port; and records as both ends pass them. */
import type { ClusterPort, Known, Revision } from '../../src/node/cluster-port.ts';
import type { MemberExplanation } from '../../src/node/explanation.ts';
import { listeners } from '../../src/node/listeners.ts';
import type { MemberLoad } from '../../src/node/serving.ts';
import type { NodeRecord } from '../../src/registry/record.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import { instant } from '../../src/std/time.ts';

export function recordOf(name: string): NodeRecord {
  return {
    id: memberId(name),
    peerId: `peer-${name}`,
    incarnation: 1,
    sequence: 0,
    role: 'worker',
    zone: 'us-east-1a',
    version: '0.1.0',
    addresses: { peer: `${name}:4002`, api: `http://${name}:8000` },
    life: { phase: 'joining' },
    engine: { phase: 'none' },
  };
}

export function knownOf(name: string, change: Partial<Known> = {}): Known {
  const record = recordOf(name);
  const { id, peerId, zone } = record;
  return { id, peerId, zone, health: 'alive', heardAt: instant(1), record, load: null, ...change };
}

export class FakeCluster implements ClusterPort {
  readonly changed = listeners<[id: MemberId]>();
  readonly muted = listeners<[id: MemberId]>();
  readonly barred = listeners<[peerId: string]>();
  readonly loaded = listeners<[id: MemberId]>();
  readonly known = new Map<MemberId, Known>();
  readonly done: string[] = [];
  readonly #looked = Promise.withResolvers<void>();
  readonly looked = this.#looked.promise;
  readonly informed = this.#looked.promise;
  #own = recordOf('self');
  /** What its answers wait for. */
  gate = (): Promise<unknown> => Promise.resolve();

  own = (): NodeRecord => this.#own;
  members = (): readonly Known[] => [...this.known.values()];
  member = (id: MemberId): Known | null => this.known.get(id) ?? null;

  async listen(): Promise<void> {
    await this.gate();
    this.done.push('listen');
  }

  join(): void {
    this.done.push('join');
    this.#looked.resolve();
  }

  revise(change: Revision): void {
    this.#own = { ...this.#own, ...change, sequence: this.#own.sequence + 1 };
  }

  tellLoad(load: MemberLoad | null): void {
    this.done.push(`load ${JSON.stringify(load)}`);
  }

  heardLoad(): void {
    this.done.push('heard a load');
  }

  suspect(id: MemberId): void {
    this.done.push(`suspect ${id}`);
  }

  async admit(peerId: string): Promise<boolean> {
    await this.gate();
    return [...this.known.values()].some((known) => known.peerId === peerId);
  }

  explain(): Promise<MemberExplanation | null> {
    return Promise.resolve(null);
  }

  close(): Promise<void> {
    this.done.push('close');
    return Promise.resolve();
  }

  put(known: Known): void {
    this.known.set(known.id, known);
    this.changed.tell(known.id);
  }

  forget(id: MemberId): void {
    const peerId = this.known.get(id)?.peerId ?? null;
    this.known.delete(id);
    this.changed.tell(id);
    if (peerId !== null) this.barred.tell(peerId);
  }
}
