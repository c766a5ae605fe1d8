/**
 * What the main thread knows of the cluster: what the membership thread last told, and on top of it what this thread
 * did itself and has not heard back yet. So whoever changes the own record reads the change in the next line, and
 * nobody ever reads the old one again.
 */
import type { HeardLoad, Known, Revision } from '../node/cluster-port.ts';
import type { NodeRecord } from '../registry/record.ts';
import type { MemberId } from '../std/member-id.ts';
import type { News } from './messages.ts';

export class Mirror {
  readonly #members = new Map<MemberId, Known>();
  /** Asked for with every request: built again only when something changed. */
  #list: readonly Known[] | null = null;
  #own: NodeRecord;
  #revision = 0;
  #pending: { readonly revision: number; readonly change: Revision }[] = [];

  constructor(own: NodeRecord) {
    this.#own = own;
  }

  own(): NodeRecord {
    return this.#own;
  }

  members(): readonly Known[] {
    this.#list ??= [...this.#members.values()];
    return this.#list;
  }

  member(id: MemberId): Known | null {
    return this.#members.get(id) ?? null;
  }

  /** Returns the number of this revision. */
  revise(change: Revision): number {
    const revision = ++this.#revision;
    this.#pending.push({ revision, change });
    this.#own = { ...this.#own, ...change };
    return revision;
  }

  heardLoad(id: MemberId, load: HeardLoad): void {
    this.#amend(id, { load });
  }

  take({ own, members, forgotten, loads, muted, heard }: News): void {
    if (own !== null) this.#takeOwn(own);
    for (const known of members) this.#members.set(known.id, { ...known, load: this.#newest(known) });
    for (const id of forgotten) this.#members.delete(id);
    for (const id of muted) this.#amend(id, { load: null });
    for (const [id, load] of loads) this.#amend(id, { load });
    for (const [id, heardAt] of heard) this.#amend(id, { heardAt });
    this.#list = null;
  }

  #takeOwn({ record, revision }: NonNullable<News['own']>): void {
    this.#pending = this.#pending.filter((pending) => pending.revision > revision);
    this.#own = this.#pending.reduce<NodeRecord>((own, { change }) => ({ ...own, ...change }), record);
  }

  /** A load that rode on an answer is not known to the other thread, and may be younger than what it knows. */
  #newest({ id, load, health }: Known): HeardLoad | null {
    const ours = this.#members.get(id)?.load ?? null;
    if (ours === null || health === 'dead' || health === 'left') return load;
    return load === null || ours.at > load.at ? ours : load;
  }

  #amend(id: MemberId, change: Pick<Known, 'load'> | Pick<Known, 'heardAt'>): void {
    const known = this.#members.get(id);
    if (known === undefined) return;
    this.#members.set(id, { ...known, ...change });
    this.#list = null;
  }
}
