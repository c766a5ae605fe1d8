/** What a client may rely on when the engine that answers it is lost; told in the head of its answer. */
import type { Ability } from '../std/ability.ts';
import type { AnswerRequest } from './request.ts';

/**
 * `exact`: the answer ends as it would have ended undisturbed; where tokens are drawn freely, as one that could have
 * been drawn, with none lost and none doubled. `best-effort`: it goes on, and either the rest may differ from what an
 * undisturbed engine would have said, or a difference from what was said already ends it in an error event. `none`:
 * once something of it was delivered, a loss ends it in an error event.
 */
export type Protection = 'exact' | 'best-effort' | 'none';

/**
 * Known before the request is sent to any engine. `ability`: what every engine that could go on with it can do, the
 * same that the request was read with. It says nothing of the loss of the node that the client is connected to.
 */
export function protectionOf(request: AnswerRequest, ability: Ability): Protection {
  if (request.way === 'apart') return weakestOf(request.parts.map((part) => protectionOf(part, ability)));
  // What is told as a whole was not delivered before it was complete, so it is asked again from its beginning.
  if (request.way === 'whole') return request.streamed ? 'none' : 'exact';
  if (request.way === 'replay') return ability.repeatable ? 'exact' : 'best-effort';
  // Without scale-out an answer that turns out to carry reasoning cannot be continued from there on.
  if (request.endpoint === 'chat' && request.streamed && !ability.scaleOut) return 'best-effort';
  if (request.draws === 'free') return 'exact';
  const drawsOn = request.draws === 'greedy' || ability.keyedByPosition;
  return drawsOn && ability.repeatable ? 'exact' : 'best-effort';
}

const weakestOf = (all: readonly Protection[]): Protection =>
  (['none', 'best-effort'] as const).find((one) => all.includes(one)) ?? 'exact';
