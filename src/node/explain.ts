/** Gathers what the three machines know of one member into one answer for a person. */
import type { State as Discovery } from '../discovery/state.ts';
import { explain, type Explanation } from '../membership/explanation.ts';
import type { State as Membership } from '../membership/state.ts';
import { recordOf, toldOf } from '../registry/records.ts';
import type { State as Registry } from '../registry/state.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Instant } from '../std/time.ts';
import { authorityOf } from './authority.ts';
import type { MemberExplanation } from './explanation.ts';

type Views = {
  readonly membership: Membership;
  readonly registry: Registry;
  /** null: not joined yet. */
  readonly discovery: Discovery | null;
};

/** null: no such member is known. */
export function explained(id: MemberId, views: Views, now: Instant): MemberExplanation | null {
  const seen = explain(views.membership, id, now);
  if (seen === null) return null;
  const { self } = views.membership;
  const { health, why, votes, rumours } = seen;
  const told = votes.map(({ by, evidence, ageMs, leftMs }) => ({
    ...{ by, evidence, ageMs: Math.round(ageMs), expiresInMs: Math.round(leftMs) },
  }));
  return {
    ...{ id, self: id === self.id, health, why, sinceMs: Math.round(seen.sinceMs) },
    binding: bindingOf(id, views.discovery, now),
    record: saidOf(id, views, now),
    connection: connectionOf(seen),
    observation: observationOf(seen, self.id),
    votes: told.sort((a, b) => a.ageMs - b.ageMs),
    deadAccordingTo: rumours.map(({ by, ageMs }) => ({ by, ageMs: Math.round(ageMs) })),
  };
}

function bindingOf(id: MemberId, discovery: Discovery | null, now: Instant): MemberExplanation['binding'] {
  const bound = discovery?.bindings.members.get(id);
  if (discovery === null || bound === undefined) return null;
  const { shownFrom, absences } = bound;
  const { peerId, address, zone, role } = bound.seen;
  const claims = discovery.claims.bySubject.get(id) ?? [];
  return {
    ...{ peerId, zone, role, absences },
    address: address === null ? null : authorityOf(address),
    ageMs: Math.round(now - shownFrom),
    claims: claims.map(({ by, at }) => ({ by, ageMs: Math.round(now - at) })),
  };
}

/** A record that came before its owner was bound is as old as its coming. */
function saidOf(id: MemberId, { registry, membership }: Views, now: Instant): MemberExplanation['record'] {
  const record = recordOf(registry, id);
  if (record === null) return null;
  const { incarnation, sequence, role, version, life, engine } = record;
  const told = toldOf(registry, id);
  const author = told?.author ?? null;
  return {
    ...{ incarnation, sequence, role, version, phase: life.phase, engine: engine.phase },
    ageMs: told === null ? null : Math.round(now - told.at),
    from: author === null ? null : (membership.memberByPeerId.get(author)?.id ?? author),
  };
}

function connectionOf({ connected, heardMs, dial }: Explanation): MemberExplanation['connection'] {
  return {
    connected,
    heardMs: heardMs === null ? null : Math.round(heardMs),
    dial: dial === null ? null : { ...dial, nextMs: Math.round(dial.nextMs) },
  };
}

function observationOf(
  { observers, watchesUs, doubt, watch }: Explanation,
  selfId: MemberId,
): MemberExplanation['observation'] {
  const { finding = null, findingMs = null } = watch ?? {};
  return {
    ...{ observers, doubt, itObservesUs: watchesUs, weObserveIt: observers.includes(selfId) },
    finding: finding === null ? null : { evidence: finding, ageMs: Math.round(findingMs ?? 0) },
  };
}
