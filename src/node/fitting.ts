/**
 * Members of one model may differ in how long a prompt and its answer they take together, and how many tokens a request has
 * is known only to an engine. So whoever refuses a request and takes less than another does is no judge of it: from then on
 * those are asked that take more, as long as there are any.
 */
import type { Blocks } from '../routing/blocks.ts';
import type { Choice, Wish } from '../routing/choose.ts';
import type { MemberId } from '../std/member-id.ts';
import type { LegNews, OpenLeg } from './leg.ts';
import type { Placing } from './placing.ts';
import type { Serving } from './serving.ts';

type Fitting = {
  place(wish: Wish): Choice;
  /** Whether what this member refuses by this status is to be asked of another, and notes it. */
  outgrows(member: MemberId, status: number): boolean;
};

/** As vLLM refuses what is too long, and whatever else is wrong with a request. */
const refusedStatus = 400;

export function openFitting(
  { model, prompt }: { readonly model: string; readonly prompt: Blocks },
  { serving, placing }: { readonly serving: Serving; readonly placing: Pick<Placing, 'place'> },
): Fitting {
  let contextMin = 0;
  return {
    place: (wish) => placing.place({ model, prompt, contextMin }, wish),
    outgrows: (member, status) => {
      if (status !== refusedStatus) return false;
      const ready = serving.model(model)?.ready ?? [];
      const own = ready.find((one) => one.member === member)?.contextTokens ?? Infinity;
      if (!ready.some(({ contextTokens }) => contextTokens !== null && contextTokens > own)) return false;
      contextMin = own + 1;
      return true;
    },
  };
}

/** Who refuses what it is too short for has not begun it. */
export const fittedLegs =
  (openLeg: OpenLeg, fitting: Fitting): OpenLeg =>
  (to, request, ears) => {
    const isOutgrown = (heard: LegNews): boolean =>
      heard.type === 'answer' && fitting.outgrows(to.member, heard.status);
    const news = (heard: LegNews): void =>
      ears.news(isOutgrown(heard) ? { type: 'unreached', why: 'context too short', fault: null } : heard);
    return openLeg(to, request, { ...ears, news });
  };
