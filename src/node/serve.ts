/** Answers the gateway from what the cluster, the engine and the drain know at this instant. */
import type { NodeRecord } from '../registry/record.ts';
import { commonAbility, noAbility, type Ability } from '../std/ability.ts';
import type { MemberId } from '../std/member-id.ts';
import { after, type Instant } from '../std/time.ts';
import { isHere, type ClusterPort, type Known } from './cluster-port.ts';
import type { Report } from './facts.ts';
import { Lately } from './lately.ts';
import type { Leaving } from './leaving.ts';
import type { Listeners } from './listeners.ts';
import type { LocalEngine } from './local-engine.ts';
import { once } from './once.ts';
import type { Clock } from './ports.ts';
import type { Admission, MemberLoad, MoveReason, ServedModel, Serving, ServingMember } from './serving.ts';

/** Requests of clients that are connected here, and moves of them; changed by the serving below only. */
export type Counts = { entered: number; moved: number };

/** A load report this young may have been made before a request of ours arrived there. */
const reportLagMs = 50;
/** How long a member whose stream fell silent is asked last: an engine that stands still has no known load by then. */
const doubtMs = 10_000;
const retryAfterMs = { joining: 2_000, draining: 1_000 };

type Parts = {
  readonly self: MemberId;
  readonly clock: Clock;
  readonly cluster: ClusterPort;
  readonly engine: LocalEngine | null;
  readonly leaving: Leaving;
  readonly counts: Counts;
  readonly moves: Listeners<[MemberId, MoveReason]>;
  readonly report: Report;
};

export class NodeServing implements Serving {
  readonly self: MemberId;
  readonly zone: string;
  readonly report: Report;
  readonly sent: Serving['sent'];
  readonly onMove: Serving['onMove'];
  readonly onRelayEnd: Serving['onRelayEnd'];
  readonly #parts: Parts;
  readonly #sent: ReturnType<typeof sentRequests>;
  /** Until when a member is asked last. */
  readonly #doubted = new Map<MemberId, Instant>();
  readonly #lately = new Lately();
  #isInformed = false;

  constructor(parts: Parts) {
    const { clock, cluster } = parts;
    this.#parts = parts;
    cluster.changed.add((id) => this.#lately.note(id, cluster.member(id), clock.now()));
    void cluster.informed.then(() => (this.#isInformed = true));
    this.#sent = sentRequests(clock);
    this.self = parts.self;
    this.zone = cluster.own().zone;
    this.report = parts.report;
    this.sent = this.#sent.begin;
    this.onMove = parts.moves.add;
    this.onRelayEnd = parts.leaving.relayEnd.add;
  }

  models(): readonly ServedModel[] {
    const found = new Map<string, Found>();
    for (const offer of this.#offers())
      for (const id of offer.models) {
        const model = found.get(id) ?? noneFound();
        found.set(id, model);
        this.#enter(model, offer);
      }
    return [...found].map(([id, model]) => served(id, model));
  }

  model(id: string): ServedModel | null {
    let found: Found | null = null;
    for (const offer of this.#offers())
      if (offer.models.includes(id)) this.#enter((found ??= noneFound()), offer);
    if (found === null && this.#lately.had(id, this.#parts.clock.now())) found = noneFound();
    return found === null ? null : served(id, found);
  }

  /** Of whom was never met nobody here knows what they serve; what those served who are gone was known. */
  isInTouch(): boolean {
    let balance = 0;
    for (const known of this.#parts.cluster.members())
      if (isHere(known)) balance++;
      else if (known.health === 'unknown') balance--;
    return this.#isInformed && balance >= 0;
  }

  /** What each node serves, ourselves first. A list, because each request looks through it several times. */
  #offers(): readonly Offer[] {
    const { engine, leaving, cluster } = this.#parts;
    const offers: Offer[] = [];
    if (engine !== null) {
      const { models, phase, maxModelLen: contextTokens, ability } = engine.status();
      const ours = leaving.phase() === 'open' ? phase : 'away';
      offers.push({ models, phase: ours, contextTokens, ability, known: null });
    }
    for (const known of cluster.members()) {
      const { record } = known;
      if (record === null || !isHere(known) || record.engine.phase === 'none') continue;
      const { models, contextTokens, ability = noAbility } = record.engine;
      offers.push({ models, phase: phaseOf(known, record), contextTokens, ability, known });
    }
    return offers;
  }

  #enter(model: Found, { phase, contextTokens, ability, known }: Offer): void {
    // The longest: what an engine of a shorter one cannot go on with it refuses, and nobody takes that for the end.
    if (contextTokens !== null) model.contextTokens = Math.max(model.contextTokens ?? 0, contextTokens);
    if (phase === 'ready') {
      model.ready.push(known === null ? this.#ours(contextTokens) : this.#theirs(known, contextTokens));
      model.abilities.push(ability);
    } else if (phase !== 'away') model.starting++;
  }

  admission(): Admission {
    const { leaving, cluster } = this.#parts;
    if (leaving.phase() !== 'open') return closed('draining');
    const serves = cluster.own().life.phase === 'serving' || this.#isAnyReady();
    return serves ? { open: true } : closed('joining');
  }

  #isAnyReady(): boolean {
    return this.#offers().some(({ models, phase }) => phase === 'ready' && models.length > 0);
  }

  engineAdmission(): Admission {
    const { leaving, engine } = this.#parts;
    if (leaving.phase() !== 'open') return closed('draining');
    return engine?.status().phase === 'ready' ? { open: true } : closed('joining');
  }

  localLoad(): MemberLoad | null {
    return this.#parts.engine?.load() ?? null;
  }

  heardLoad(member: MemberId, load: MemberLoad): void {
    this.#parts.cluster.heardLoad(member, load);
  }

  suspect(member: MemberId, why: string): void {
    if (member === this.self) return;
    this.report({ fact: 'member.failing', member, why });
    this.#parts.cluster.suspect(member);
  }

  doubt(member: MemberId): void {
    const { clock, moves } = this.#parts;
    for (const id of this.#doubted.keys()) if (!this.#isDoubted(id)) this.#doubted.delete(id);
    this.#doubted.set(member, after(clock.now(), doubtMs));
    moves.tell(member, 'silence');
  }

  engineErred(tell: (isDead: boolean) => void): void {
    const { engine } = this.#parts;
    if (engine === null) tell(true);
    else engine.erred(tell);
  }

  entered(): () => void {
    const { counts, leaving } = this.#parts;
    counts.entered++;
    return once(() => {
      counts.entered--;
      leaving.loadChanged();
    });
  }

  generating(): () => void {
    return this.#parts.engine?.generating() ?? (() => {});
  }

  onCut(listener: () => void): () => void {
    return this.#parts.engine?.cut.add(listener) ?? (() => {});
  }

  #isDoubted(id: MemberId): boolean {
    return this.#parts.clock.now() < (this.#doubted.get(id) ?? -Infinity);
  }

  #ours(contextTokens: number | null): ServingMember {
    const doubted = this.#isDoubted(this.self);
    const load = doubted ? null : this.localLoad();
    return {
      member: this.self,
      self: true,
      zone: this.#parts.cluster.own().zone,
      contextTokens,
      load,
      doubted,
      // A known load has our own count in it already.
      unreported: load === null ? (this.#parts.engine?.generations() ?? 0) : 0,
    };
  }

  #theirs({ id, load, record }: Known, contextTokens: number | null): ServingMember {
    const doubted = this.#isDoubted(id);
    return {
      member: id,
      self: false,
      zone: record?.zone ?? '',
      contextTokens,
      load: doubted ? null : load,
      doubted,
      unreported: this.#sent.unreported(id, load?.at ?? null),
    };
  }
}

type Found = {
  readonly ready: ServingMember[];
  readonly abilities: Ability[];
  starting: number;
  contextTokens: number | null;
};
type Offer = {
  readonly models: readonly string[];
  readonly phase: Phase;
  readonly contextTokens: number | null;
  readonly ability: Ability;
  /** Whose it is; null: ours. */
  readonly known: Known | null;
};

const noneFound = (): Found => ({ ready: [], starting: 0, contextTokens: null, abilities: [] });

const served = (id: string, { abilities, ...model }: Found): ServedModel => ({
  id,
  ...model,
  ability: commonAbility(abilities),
});

/** `away`: it has the model, and takes no request just now. It is why a model is busy rather than unknown. */
type Phase = 'ready' | 'starting' | 'down' | 'away';

function phaseOf({ health }: Known, { life, engine }: NodeRecord): Phase {
  if (engine.phase === 'none' || health !== 'alive') return 'away';
  return life.phase === 'serving' || life.phase === 'joining' ? engine.phase : 'away';
}

const closed = (reason: 'joining' | 'draining'): Admission => ({
  open: false,
  reason,
  retryAfterMs: retryAfterMs[reason],
});

type Sent = { readonly at: Instant };

/**
 * Requests under way to each member, by when they began: those that began since its last report are added to what it
 * reported, so that a burst between two reports spreads instead of landing on whoever was idle a moment ago.
 */
function sentRequests(clock: Clock) {
  /** In the order of their beginning. Reports grow younger only, so what one has told of is not looked at again. */
  const begun = new Map<MemberId, { readonly fresh: Set<Sent>; readonly told: Set<Sent> }>();
  return {
    begin: (member: MemberId): (() => void) => {
      const request = { at: clock.now() };
      const requests = begun.get(member) ?? { fresh: new Set(), told: new Set() };
      begun.set(member, requests);
      requests.fresh.add(request);
      return once(() => {
        const { fresh, told } = requests;
        if (!fresh.delete(request)) told.delete(request);
        if (fresh.size + told.size === 0 && begun.get(member) === requests) begun.delete(member);
      });
    },
    unreported: (member: MemberId, reportedAt: Instant | null): number => {
      const requests = begun.get(member);
      if (requests === undefined) return 0;
      const { fresh, told } = requests;
      if (reportedAt === null) return fresh.size + told.size;
      const since = after(reportedAt, -reportLagMs);
      for (const request of fresh) {
        if (request.at >= since) break;
        fresh.delete(request);
        told.add(request);
      }
      return fresh.size;
    },
  };
}
