/** Answers the gateway from what the cluster, the engine and the drain know at this instant. */
import type { MemberId } from '../std/member-id.ts';
import { after, type Instant } from '../std/time.ts';
import type { Cluster, Known } from './cluster.ts';
import type { Report } from './facts.ts';
import type { Leaving } from './leaving.ts';
import type { Listeners } from './listeners.ts';
import type { LocalEngine } from './local-engine.ts';
import type { Clock } from './ports.ts';
import type { Admission, MoveReason, ServedModel, Serving, ServingMember } from './serving.ts';

/** Requests of clients that are connected here, and moves of them; changed by the serving below only. */
export type Counts = { entered: number; moved: number };

/** A load report this young may have been made before a request of ours arrived there. */
const reportLagMs = 50;
/** How long a member whose stream fell silent is asked last: an engine that stands still has no known load by then. */
const doubtMs = 10_000;
const retryAfterMs = { joining: 2_000, draining: 1_000 };

export function openServing(parts: {
  readonly self: MemberId;
  readonly clock: Clock;
  readonly cluster: Cluster;
  readonly engine: LocalEngine | null;
  readonly leaving: Leaving;
  readonly counts: Counts;
  readonly moves: Listeners<[MemberId, MoveReason]>;
  readonly report: Report;
}): Serving {
  const { self, clock, cluster, engine, leaving, counts } = parts;
  const sent = sentRequests(clock);
  const doubted = new Map<MemberId, Instant>();
  const isDoubted = (id: MemberId): boolean => clock.now() < (doubted.get(id) ?? -Infinity);

  const ours = (): ServingMember => ({
    member: self,
    self: true,
    zone: cluster.own().zone,
    load: isDoubted(self) ? null : (engine?.load() ?? null),
    // What we sent ourselves is in our own count already.
    unreported: 0,
  });
  const theirs = ({ id, load, record }: Known): ServingMember => ({
    member: id,
    self: false,
    zone: record?.zone ?? '',
    load: isDoubted(id) ? null : load,
    unreported: sent.unreported(id, load?.at ?? null),
  });

  function models(): readonly ServedModel[] {
    const found = new Map<string, { ready: ServingMember[]; starting: number }>();
    const enter = (ids: readonly string[], phase: string, member: () => ServingMember): void => {
      for (const id of ids) {
        const model = found.get(id) ?? { ready: [], starting: 0 };
        found.set(id, model);
        if (phase === 'ready') model.ready.push(member());
        else model.starting++;
      }
    };
    if (engine !== null && leaving.phase() === 'open')
      enter(engine.status().models, engine.status().phase, ours);
    for (const known of cluster.members()) {
      const { record } = known;
      if (known.health !== 'alive' || record === null || record.engine.phase === 'none') continue;
      if (record.life.phase !== 'serving' && record.life.phase !== 'joining') continue;
      enter(record.engine.models, record.engine.phase, () => theirs(known));
    }
    const contextTokens = engine?.status().maxModelLen ?? null;
    return [...found].map(([id, { ready, starting }]) => ({ id, ready, starting, contextTokens }));
  }

  function admission(): Admission {
    if (leaving.phase() !== 'open') return closed('draining');
    const serves = cluster.own().life.phase === 'serving' || models().some(({ ready }) => ready.length > 0);
    return serves ? { open: true } : closed('joining');
  }

  function engineAdmission(): Admission {
    if (leaving.phase() !== 'open') return closed('draining');
    return engine?.status().phase === 'ready' ? { open: true } : closed('joining');
  }

  return {
    self,
    models,
    admission,
    engineAdmission,
    report: parts.report,
    localLoad: () => engine?.load() ?? null,
    heardLoad: (member, load) => {
      cluster.heardLoad(member, load);
    },
    suspect: (member, why) => {
      if (member === self) return;
      parts.report({ fact: 'member.failing', member, why });
      cluster.suspect(member);
    },
    doubt: (member) => {
      for (const id of doubted.keys()) if (!isDoubted(id)) doubted.delete(id);
      doubted.set(member, after(clock.now(), doubtMs));
      parts.moves.tell(member, 'silence');
    },
    entered: () => {
      counts.entered++;
      return once(() => {
        counts.entered--;
        leaving.loadChanged();
      });
    },
    sent: sent.begin,
    generating: () => engine?.generating() ?? (() => {}),
    onMove: parts.moves.add,
    onCut: (listener) => engine?.cut.add(listener) ?? (() => {}),
    onRelayEnd: leaving.relayEnd.add,
  };
}

const closed = (reason: 'joining' | 'draining'): Admission => ({
  open: false,
  reason,
  retryAfterMs: retryAfterMs[reason],
});

function once(act: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    act();
  };
}

/**
 * Requests under way to each member, by when they began: those that began since its last report are added to what it
 * reported, so that a burst between two reports spreads instead of landing on whoever was idle a moment ago.
 */
function sentRequests(clock: Clock) {
  const begun = new Map<MemberId, Set<{ readonly at: Instant }>>();
  return {
    begin: (member: MemberId): (() => void) => {
      const request = { at: clock.now() };
      const requests = begun.get(member) ?? new Set();
      begun.set(member, requests.add(request));
      return once(() => {
        requests.delete(request);
        if (requests.size === 0 && begun.get(member) === requests) begun.delete(member);
      });
    },
    unreported: (member: MemberId, reportedAt: Instant | null): number => {
      const since = reportedAt === null ? null : after(reportedAt, -reportLagMs);
      return [...(begun.get(member) ?? [])].filter(({ at }) => since === null || at >= since).length;
    },
  };
}
