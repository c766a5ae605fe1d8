/** Routing as this node does it: one router for all that enters here, asked of what the members are right now. */
import type { Blocks } from '../routing/blocks.ts';
import type { Choice, Wish } from '../routing/choose.ts';
import type { Outcome } from '../routing/outliers.ts';
import * as routing from '../routing/router.ts';
import type { Rng } from '../std/random.ts';
import type { Clock } from './ports.ts';
import type { ServedModel, Serving } from './serving.ts';

/** `contextMin`: of a member that is asked, tokens, where there is such a one. */
type Asked = { readonly model: string; readonly prompt: Blocks; readonly contextMin: number };

export type Placing = {
  place(about: Asked, wish: Wish): Choice;
  /** How what was sent to a member ended. */
  judge(outcome: Outcome): void;
};

export function openPlacing(ports: {
  readonly serving: Serving;
  readonly clock: Clock;
  readonly rng: Rng;
}): Placing {
  const { serving, clock, rng } = ports;
  const router = routing.init(serving.zone, rng);
  return {
    place: ({ model, prompt, contextMin }, wish) => {
      const standing = longEnough(serving.model(model), contextMin);
      if (standing === null && !serving.isInTouch()) return { type: 'none', why: 'unavailable' };
      return routing.place(router, { model, standing, wish, prompt }, clock.now());
    },
    judge: (outcome) => {
      const forMs = routing.heard(router, outcome, clock.now());
      if (forMs !== null) serving.report({ fact: 'member.ejected', member: outcome.member, forMs });
    },
  };
}

/** Who has not said how long may be long enough. */
function longEnough(model: ServedModel | null, contextMin: number): ServedModel | null {
  if (model === null || contextMin === 0) return model;
  const ready = model.ready.filter(({ contextTokens }) => (contextTokens ?? Infinity) >= contextMin);
  return ready.length === 0 ? model : { ...model, ready };
}
