/**
 * The main thread's end of the port: the cluster as the membership thread last told it. What is asked of it at once is
 * answered from the mirror; listeners hear of a change when the mirror shows it.
 */
import type { ClusterPort, Known, Revision } from '../node/cluster-port.ts';
import type { MemberExplanation } from '../node/explanation.ts';
import type { Report } from '../node/facts.ts';
import { listeners } from '../node/listeners.ts';
import type { Clock, Cloud } from '../node/ports.ts';
import type { MemberLoad } from '../node/serving.ts';
import type { NodeRecord } from '../registry/record.ts';
import { unreachable } from '../std/assert.ts';
import { Failure, messageOf } from '../std/failure.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Asked, AskedBack, FromThread, News, Pulse, ToThread } from './messages.ts';
import { Mirror } from './mirror.ts';
import { Answering, Questions } from './questions.ts';

/** Opening a socket takes moments; a starved machine may need seconds. */
const listenMs = 15_000;
/** Longer than a look at the cloud on behalf of a stranger, which the other thread bounds by itself. */
const admitMs = 6_000;
const explainMs = 2_000;
/** libp2p is given three seconds for its streams, connections and listeners. */
const closeMs = 4_000;

type Parts = {
  readonly own: NodeRecord;
  readonly clock: Clock;
  readonly cloud: Pick<Cloud, 'sightings'>;
  readonly report: Report;
  readonly post: (message: ToThread) => void;
};

export class RemoteCluster implements ClusterPort {
  readonly changed = listeners<[id: MemberId]>();
  readonly muted = listeners<[id: MemberId]>();
  readonly barred = listeners<[peerId: string]>();
  readonly looked: Promise<void>;
  readonly informed: Promise<void>;

  readonly #parts: Parts;
  readonly #mirror: Mirror;
  readonly #questions: Questions<Asked>;
  readonly #answering: Answering<AskedBack>;
  readonly #firstLook = Promise.withResolvers<void>();
  readonly #firstAnswer = Promise.withResolvers<void>();
  readonly #up = Promise.withResolvers<void>();
  #pulse: Pulse | null = null;
  #isAlone = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#mirror = new Mirror(parts.own);
    this.looked = this.#firstLook.promise;
    this.informed = this.#firstAnswer.promise;
    this.#questions = new Questions(parts.post);
    const sightings = (_: null, signal: AbortSignal) => parts.cloud.sightings(signal);
    this.#answering = new Answering<AskedBack>({ sightings }, parts.post);
  }

  /** The other thread is there. */
  get up(): Promise<void> {
    return this.#up.promise;
  }

  /** The last account of itself that the other thread gave; null: none yet. */
  get pulse(): Pulse | null {
    return this.#pulse;
  }

  async listen(): Promise<void> {
    await this.#questions.ask('listen', null, AbortSignal.timeout(listenMs));
  }

  join(): void {
    this.#parts.post({ type: 'join' });
  }

  own(): NodeRecord {
    return this.#mirror.own();
  }

  members(): readonly Known[] {
    return this.#mirror.members();
  }

  member(id: MemberId): Known | null {
    return this.#mirror.member(id);
  }

  revise(change: Revision): void {
    this.#parts.post({ type: 'revise', revision: this.#mirror.revise(change), change });
  }

  tellLoad(load: MemberLoad | null): void {
    this.#parts.post({ type: 'load', load });
  }

  /** Routing reads it here, and the other thread has no use for it: a load says nothing of who lives. */
  heardLoad(id: MemberId, load: MemberLoad): void {
    this.#mirror.heardLoad(id, { ...load, at: this.#parts.clock.now() });
  }

  suspect(id: MemberId): void {
    this.#parts.post({ type: 'suspect', id });
  }

  async admit(peerId: string): Promise<boolean> {
    try {
      return await this.#questions.ask('admit', peerId, AbortSignal.timeout(admitMs));
    } catch (error) {
      this.#parts.report({ fact: 'peer.refused', peerId, why: messageOf(error) });
      return false;
    }
  }

  explain(id: MemberId): Promise<MemberExplanation | null> {
    return this.#questions.ask('explain', id, AbortSignal.timeout(explainMs));
  }

  /** Cuts the other thread's connections to peers off, or joins them again. */
  isolate(on: boolean): void {
    this.#parts.post({ type: 'isolate', on });
  }

  /** Whatever becomes of the other side, this ends in time and without a failure. */
  async close(): Promise<void> {
    if (this.#isAlone) return;
    try {
      await this.#questions.ask('close', null, AbortSignal.timeout(closeMs));
    } catch (error) {
      this.#parts.report({ fact: 'membership.unclosed', why: messageOf(error) });
    }
  }

  /** Nobody is at the other end any more. */
  end(why: Failure): void {
    this.#isAlone = true;
    this.#questions.end(why);
  }

  onMessage(message: FromThread): void {
    switch (message.type) {
      case 'up':
        return this.#up.resolve();
      case 'question':
        return void this.#answering.onQuestion(message);
      case 'given-up':
        return this.#answering.onGivenUp(message);
      case 'answer':
        return this.#questions.onAnswer(message);
      case 'news':
        return this.#onNews(message);
      default:
        return unreachable(message);
    }
  }

  #onNews(news: News): void {
    this.#mirror.take(news);
    this.#pulse = news.pulse ?? this.#pulse;
    this.#parts.post({ type: 'taken' });
    for (const fact of news.facts) this.#parts.report(fact);
    if (news.looked) this.#firstLook.resolve();
    if (news.informed) this.#firstAnswer.resolve();
    for (const { id } of news.members) this.changed.tell(id);
    for (const id of news.forgotten) this.changed.tell(id);
    for (const id of news.muted) this.muted.tell(id);
    for (const peerId of news.barred) this.barred.tell(peerId);
  }
}
