/**
 * What an engine can do for going on with answers, asked of itself when it gets ready, because no version tells: vLLM's
 * flags decide whether it renders and derenders, and its model runner how it draws. One that draws by position gives,
 * after the first token of an answer, the very tokens of the answer's rest; one whose generator begins again with each
 * request does not (measured: 7 in 1,000 positions agree by chance).
 */
import { z } from 'zod';
import type { Ability } from '../std/ability.ts';
import { parseJson } from '../std/json.ts';
import { ask, type Exchange } from './exchange.ts';

/** Three tokens; seeded sampling too is compiled on its first use on some backends. ms */
const drawMs = 60_000;
const promptTokens = 64;
/** An id that every vocabulary has. */
const promptToken = 75;
const drawnTokens = 3;
const seed = 20_011;
/** So high that the draw decides, and not the model's opinion. */
const temperature = 4;

const drawing = z.object({ choices: z.array(z.object({ token_ids: z.array(z.int()) })).min(1) });

type Found = Pick<Ability, 'scaleOut' | 'keyedByPosition'>;

/** An engine that answers none of this can do none of it; Failure only where the connection ended. */
export async function examine(engine: Exchange, model: string, signal: AbortSignal): Promise<Found> {
  return {
    scaleOut: await hasScaleOut(engine, signal),
    keyedByPosition: await isKeyedByPosition(engine, model, signal),
  };
}

/** 400 for a body that is no request; where it is switched off 403, where it never was 404. */
async function hasScaleOut(engine: Exchange, signal: AbortSignal): Promise<boolean> {
  const question = { method: 'POST', path: '/inference/v1/generate', body: '{}' } as const;
  return (await ask(engine, question, drawMs, signal)).status === 400;
}

async function isKeyedByPosition(engine: Exchange, model: string, signal: AbortSignal): Promise<boolean> {
  const prompt = Array.from({ length: promptTokens }, () => promptToken);
  const all = await draw(engine, { model, prompt, max_tokens: drawnTokens }, signal);
  if (all?.length !== drawnTokens) return false;
  const [first = 0, ...rest] = all;
  const again = await draw(
    engine,
    { model, prompt: [...prompt, first], max_tokens: drawnTokens - 1 },
    signal,
  );
  return again?.join() === rest.join();
}

/** null: it did not say which tokens. */
async function draw(
  engine: Exchange,
  request: { readonly model: string; readonly prompt: readonly number[]; readonly max_tokens: number },
  signal: AbortSignal,
): Promise<readonly number[] | null> {
  const body = JSON.stringify({ ...request, seed, temperature, ignore_eos: true, return_token_ids: true });
  const question = { method: 'POST', path: '/v1/completions', body } as const;
  const answer = await ask(engine, question, drawMs, signal);
  return answer.status === 200 ? idsIn(answer.body) : null;
}

const idsIn = (body: string): readonly number[] | null =>
  drawing.safeParse(parseJson(body)).data?.choices[0]?.token_ids ?? null;
