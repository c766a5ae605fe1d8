import type { ServedModel } from '../node/serving.ts';
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
