/**
 * Members that may hold copies: whoever serves, and goes nowhere. Kept one by one as they change, and said to have changed
 * only when they did: most of what changes about members is the load of their engines.
 */
import type { Candidate } from '../journal/rendezvous.ts';
import type { MemberId } from '../std/member-id.ts';
import { isHere, type ClusterPort, type Known } from './cluster-port.ts';
import type { JournalPorts } from './journals.ts';

/**
 * `life`: its incarnation. Each start of it begins a new one, and so does its word against those who held it dead: then it
 * has all that it had, and whoever is asked what became of that was asked in vain.
 */
type Holder = Candidate & { readonly leaves: boolean; readonly life: number };

export function holdersAmong(
  cluster: ClusterPort,
): Pick<JournalPorts, 'candidates' | 'present' | 'onChanged'> {
  const holders = new Map<MemberId, Holder>();
  for (const { id } of cluster.members()) renew(id);

  /** `gone`: with all that it had, though it may be back. */
  function renew(id: MemberId): 'same' | 'other' | 'gone' {
    const [before, now] = [holders.get(id), holderFrom(cluster.member(id))];
    const isSame =
      before?.zone === now?.zone && before?.isFit === now?.isFit && before?.leaves === now?.leaves;
    if (isSame && before?.life === now?.life) return 'same';
    if (now === undefined) holders.delete(id);
    else holders.set(id, now);
    return now === undefined || (before !== undefined && before.life !== now.life) ? 'gone' : 'other';
  }

  return {
    candidates: () => [...holders.values()].filter(({ leaves }) => !leaves),
    present: () => [...holders.values()],
    onChanged: (listener) =>
      cluster.changed.add((id) => {
        const became = renew(id);
        if (became !== 'same') listener(became === 'gone' ? id : null);
      }),
  };
}

/** undefined: it holds none. */
function holderFrom(known: Known | null): Holder | undefined {
  if (known === null) return undefined;
  const { id, health, record, zone } = known;
  if (!isHere(known) || record === null || record.role === 'operator' || record.life.phase === 'left')
    return undefined;
  const { incarnation: life } = record;
  return { id, zone, isFit: health === 'alive', leaves: record.life.phase === 'draining', life };
}
