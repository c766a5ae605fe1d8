import type { ServedModel, Serving } from '../node/serving.ts';
import type { Refusal } from '../stream/refusal.ts';
import type { WallTime } from '../std/time.ts';

/** The models of the whole cluster that can be asked now, as OpenAI lists them. */
export function listedModels(models: readonly ServedModel[], since: WallTime): string {
  const data = models
    .filter(({ ready }) => ready.length > 0)
    .map(({ id, contextTokens }) => ({
      id,
      object: 'model',
      created: Math.floor(since / 1_000),
      owned_by: 'synkti',
      ...(contextTokens === null ? {} : { max_model_len: contextTokens }),
    }));
  return JSON.stringify({ object: 'list', data });
}

/** Names that fit into one message: who misspelt one wants to see the others. */
const namesMax = 20;

/** Whoever asked for a model that there is not is told those that there are. */
export function withModels(refusal: Refusal, models: Serving['models']): Refusal {
  const { complaint } = refusal;
  if (complaint.code !== 'model_not_found') return refusal;
  const names = models().map(({ id }) => `\`${id}\``);
  const listed = names.slice(0, namesMax).join(', ') + (names.length > namesMax ? ', …' : '');
  const there = names.length === 0 ? 'No model is served here.' : `There is ${listed}.`;
  return { ...refusal, complaint: { ...complaint, message: `${complaint.message} ${there}` } };
}
