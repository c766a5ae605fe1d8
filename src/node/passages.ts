/**
 * The serving side: which requests of other nodes our own engine takes, what they count as, and what ends all of them
 * at once. How bytes get through is the business of whoever carries them.
 *
 * An engine's stream that breaks off is ended in order, without `[DONE]`: the entry node sees that the answer is lost
 * and that this node is not. Only what has a length of its own has to be broken off on the wire.
 */
import { FleetingSet } from '../std/fleeting.ts';
import type { Serving } from './serving.ts';

/** Requests of peers at one engine: vLLM queues far fewer than this well. */
const requestsMax = 4_096;

/** One answer on its way through. */
export type Passage = {
  /** Ends what the engine has begun, from our side: a stopping vLLM keeps its streams open for ever. */
  breakOff(why: string): void;
};

export type Passages = {
  /** Why none is taken now; null: one is. */
  refusal(hasEngine: boolean): string | null;
  /** Call the result once, when the entry node has everything or has gone. */
  begin(passage: Passage, kind: 'generation' | 'question'): () => void;
  close(): void;
};

export function openPassages(serving: Serving): Passages {
  const open = new FleetingSet<Passage>();
  const breakOff = (why: string): void => {
    for (const passage of open.all()) passage.breakOff(why);
  };
  const unsubscribe = serving.onCut(() => breakOff('engine stops'));
  return {
    refusal: (hasEngine) => {
      const admission = serving.engineAdmission();
      if (!admission.open) return admission.reason;
      if (!hasEngine) return 'no-engine';
      return open.size >= requestsMax ? 'full' : null;
    },
    begin: (passage, kind) => {
      const ended = kind === 'generation' ? serving.generating() : (): void => {};
      const gone = open.add(passage);
      return () => {
        ended();
        gone();
      };
    },
    close: () => {
      unsubscribe();
      breakOff('node stops');
    },
  };
}

/** What is told in place of the rest of an answer. `refuse`: nothing was begun, and another member may take it. */
type Loss = 'end' | 'destroy' | 'refuse' | 'bad-gateway';

export function lossOf(answer: {
  /** The engine was reached. */
  readonly begun: boolean;
  readonly headSent: boolean;
  readonly isStream: boolean;
}): Loss {
  if (answer.headSent) return answer.isStream ? 'end' : 'destroy';
  return answer.begun ? 'bad-gateway' : 'refuse';
}
