/** Routing as this node does it: one router for all that enters here, asked of what the members are right now. */
import type { Blocks } from '../routing/blocks.ts';
import type { Choice, Wish } from '../routing/choose.ts';
import type { Outcome } from '../routing/outliers.ts';
import * as routing from '../routing/router.ts';
import type { Rng } from '../std/random.ts';
import type { Clock } from './ports.ts';
import type { Serving } from './serving.ts';

export type Placing = {
  place(about: { readonly model: string; readonly prompt: Blocks }, wish: Wish): Choice;
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
    place: ({ model, prompt }, wish) =>
      routing.place(router, { model, standing: serving.model(model), wish, prompt }, clock.now()),
    judge: (outcome) => {
      const forMs = routing.heard(router, outcome, clock.now());
      if (forMs !== null) serving.report({ fact: 'member.ejected', member: outcome.member, forMs });
    },
  };
}
