/**
 * What nodes noted for their next lives, on the disks of their machines. Each of a thousand notes all others again and
 * again: who they are is kept once for all disks, and of each note how long ago they were seen.
 */
import type { Remembered } from '../../src/node/ports.ts';
import type { Host } from './terrain.ts';

type Vouched = Remembered['members'][number];
type Note = Omit<Remembered, 'members'> & {
  readonly members: readonly Vouched[];
  readonly agesMs: readonly (number | undefined)[];
};

export class Disks {
  readonly #notes = new Map<Host, Note>();
  /** As somebody noted it last, by its peer id. */
  readonly #known = new Map<string, Vouched>();

  keep(host: Host, { members, asOf }: Remembered): void {
    const agesMs = members.map(({ ageMs }) => ageMs);
    this.#notes.set(host, { members: members.map((one) => this.#shared(one)), agesMs, asOf });
  }

  /** null: nothing. */
  recall(host: Host): Remembered | null {
    const note = this.#notes.get(host);
    if (note === undefined) return null;
    const { members, agesMs, asOf } = note;
    return { members: members.map((one, i) => aged(one, agesMs[i])), asOf };
  }

  erase(host: Host): void {
    this.#notes.delete(host);
  }

  #shared(one: Vouched): Vouched {
    const known = this.#known.get(one.peerId);
    if (known !== undefined && isSame(known, one)) return known;
    this.#known.set(one.peerId, one);
    return one;
  }
}

const aged = ({ ageMs: _, ...one }: Vouched, ageMs: number | undefined): Vouched =>
  ageMs === undefined ? one : { ...one, ageMs };

const isSame = (a: Vouched, b: Vouched): boolean =>
  a.id === b.id && a.address === b.address && a.zone === b.zone && a.role === b.role && a.left === b.left;
