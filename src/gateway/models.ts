import type { ServedModel, Serving } from '../node/serving.ts';
import type { WallTime } from '../std/time.ts';
import { notPlaced, type Refusal } from '../stream/refusal.ts';

/** The models of the whole cluster that can be asked now, as OpenAI lists them. */
export function listedModels(models: readonly ServedModel[], since: WallTime): string {
  const data = models.filter(isReady).map((model) => shown(model, since));
  return JSON.stringify({ object: 'list', data });
}

/** One of those, or why it cannot be asked now. */
export function toldModel(id: string, models: readonly ServedModel[], since: WallTime): string | Refusal {
  const model = models.find((one) => one.id === id);
  if (model !== undefined && isReady(model)) return JSON.stringify(shown(model, since));
  return withModels(notPlaced(id, model === undefined ? 'unknown-model' : 'starting'), () => models);
}

const isReady = ({ ready }: ServedModel): boolean => ready.length > 0;

const shown = ({ id, contextTokens }: ServedModel, since: WallTime) => ({
  id,
  object: 'model',
  created: Math.floor(since / 1_000),
  owned_by: 'synkti',
  ...(contextTokens === null ? {} : { max_model_len: contextTokens }),
});

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
