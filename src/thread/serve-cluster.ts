/**
 * The membership thread's end of the port: does to the cluster what the main thread asks for, answers its questions,
 * and tells it what comes about.
 */
import type { ClusterPort, Known } from '../node/cluster-port.ts';
import type { Report } from '../node/facts.ts';
import type { Listeners } from '../node/listeners.ts';
import type { Cloud } from '../node/ports.ts';
import { unreachable } from '../std/assert.ts';
import type { MemberId } from '../std/member-id.ts';
import { Gathering } from './gathering.ts';
import type { Asked, AskedBack, FromThread, Pulse, ToThread } from './messages.ts';
import { Answering, Questions } from './questions.ts';

/** One end of a MessageChannel, or of the port between a worker and its parent. */
export type Port = {
  postMessage(message: unknown): void;
  on(event: 'message', listener: (message: unknown) => void): unknown;
};

/** What routing wants to know at once and others on this side do not ask for. */
type ServedCluster = ClusterPort & {
  /** A member told its load. */
  readonly loaded: Listeners<[id: MemberId]>;
  /** null: nobody of that id. */
  member(id: MemberId): Known | null;
};

type Served = {
  readonly cluster: ServedCluster;
  readonly usage: () => Omit<Pulse, 'lagSeconds'>;
  /** Cuts this thread off from peers or joins it again. */
  readonly isolate: (on: boolean) => void;
};

const pulseMs = 1_000;

/** `open` is given what only the main thread has: the cloud, and the log. */
export function serveCluster(
  port: Port,
  open: (main: { readonly cloud: Pick<Cloud, 'sightings'>; readonly report: Report }) => Served,
): void {
  const post = (message: FromThread): void => port.postMessage(message);
  const questions = new Questions<AskedBack>(post);
  const { cluster, usage, isolate } = open({
    cloud: { sightings: (signal) => questions.ask('sightings', null, signal) },
    report: (fact) => gathering.fact(fact),
  });
  const gathering: Gathering = new Gathering(cluster, post);
  const answering = new Answering<Asked>(answersOf(cluster), post);
  cluster.changed.add((id) => gathering.changed(id));
  cluster.loaded.add((id) => gathering.loaded(id));
  cluster.muted.add((id) => gathering.muted(id));
  cluster.barred.add((peerId) => gathering.barred(peerId));
  void cluster.looked.then(() => gathering.looked());
  void cluster.informed.then(() => gathering.informed());

  function onMessage(message: ToThread): void {
    switch (message.type) {
      case 'question':
        return void answering.onQuestion(message);
      case 'given-up':
        return answering.onGivenUp(message);
      case 'answer':
        return questions.onAnswer(message);
      case 'join':
        return cluster.join();
      case 'revise':
        cluster.revise(message.change);
        return gathering.revised(message.revision);
      case 'load':
        return cluster.tellLoad(message.load);
      case 'suspect':
        return cluster.suspect(message.id);
      case 'isolate':
        return isolate(message.on);
      case 'taken':
        return gathering.taken();
      default:
        return unreachable(message);
    }
  }
  // Our own two threads, started from one file: nothing here comes from outside.
  port.on('message', (message) => onMessage(message as ToThread));
  beginPulse((lagSeconds) => gathering.pulse({ ...usage(), lagSeconds }));
  post({ type: 'up' });
}

const answersOf = (cluster: ClusterPort): ConstructorParameters<typeof Answering<Asked>>[0] => ({
  listen: async () => {
    await cluster.listen();
    return null;
  },
  admit: (peerId) => cluster.admit(peerId),
  explain: (id) => cluster.explain(id),
  close: async () => {
    await cluster.close();
    return null;
  },
});

function beginPulse(beat: (lagSeconds: number) => void): void {
  let dueAt = performance.now() + pulseMs;
  const timer = setInterval(() => {
    const now = performance.now();
    beat(Math.max(0, now - dueAt) / 1_000);
    dueAt = now + pulseMs;
  }, pulseMs);
  // The port keeps a thread alive for as long as it is wanted, and nothing else does.
  timer.unref();
}
