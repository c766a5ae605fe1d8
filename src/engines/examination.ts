/**
 * What an engine can do for going on with answers, asked of itself when it gets ready, because no version tells: vLLM's
 * flags decide whether it renders and derenders, and its model runner how it draws. One that draws by position gives,
 * after the first tokens of an answer, the very tokens of the answer's rest; one whose generator begins again with each
 * request does not (measured: 7 in 1,000 positions agree by chance).
 *
 * That is an experiment, and has a control: under another seed the same places must get other tokens, or the draw
 * decides nothing (a model sure of itself, or told to take the likeliest) and agreeing would prove nothing. Each place
 * is asked for by itself, so that in half precision a near-tie that falls the other way costs one of them.
 */
import { z } from 'zod';
import type { Ability } from '../std/ability.ts';
import { parseJson } from '../std/json.ts';
import { ask, type Exchange } from './exchange.ts';

/** Some tokens; seeded sampling too is compiled on its first use on some backends. ms */
const drawMs = 60_000;
/** Ids that every vocabulary has, no two alike: what repeats itself a model goes on with. */
const prompt = Array.from({ length: 64 }, (_, i) => 32 + i);
const drawnTokens = 16;
/** Of the 15 places behind the first token: a near-tie in bf16 comes some twice in a hundred tokens. */
const agreeingMin = 13;
const agreeingByChanceMax = 5;
const seeds = { ours: 20_011, another: 40_009 };
/**
 * The draw is to decide, and not the model's opinion: the highest temperature that vLLM takes, and none of what a
 * model's generation_config.json or `--override-generation-config` adds where a request says nothing.
 */
const sampling = {
  temperature: 2,
  ...{ top_k: 0, top_p: 1, min_p: 0 },
  ...{ repetition_penalty: 1, presence_penalty: 0, frequency_penalty: 0 },
};

const drawing = z.object({
  choices: z.array(z.object({ index: z.int(), token_ids: z.array(z.int()) })).min(1),
});

/** What a request becomes; vLLM leaves out some of what is neutral. A list, with one for each prompt. */
const rendering = z
  .array(
    z.object({
      sampling_params: z.object({
        repetition_penalty: z.number().default(1),
        presence_penalty: z.number().default(0),
        frequency_penalty: z.number().default(0),
      }),
    }),
  )
  .min(1);

/** What a chat becomes. Left out where special tokens are skipped. */
const chatRendering = z.object({
  sampling_params: z.object({ skip_special_tokens: z.boolean().default(true) }),
});

type Found = Omit<Ability, 'repeatable'>;

/** An engine that answers none of this can do none of it; Failure only where the connection ended. */
export async function examine(engine: Exchange, model: string, signal: AbortSignal): Promise<Found> {
  return {
    scaleOut: await hasScaleOut(engine, signal),
    keyedByPosition: await isKeyedByPosition(engine, model, signal),
    neutralPenalties: await hasNeutralPenalties(engine, model, signal),
    showsSpecials: await showsSpecials(engine, model, signal),
  };
}

/** Where it does not render, it is not known. */
async function hasNeutralPenalties(engine: Exchange, model: string, signal: AbortSignal): Promise<boolean> {
  const body = JSON.stringify({ model, prompt, max_tokens: 1 });
  const question = { method: 'POST', path: '/v1/completions/render', body } as const;
  const answer = await ask(engine, question, drawMs, signal);
  const rendered = answer.status === 200 ? rendering.safeParse(parseJson(answer.body)).data : undefined;
  const params = rendered?.[0]?.sampling_params;
  return params?.repetition_penalty === 1 && params.presence_penalty === 0 && params.frequency_penalty === 0;
}

/** Where it does not render, or has no chats, it is not known. */
async function showsSpecials(engine: Exchange, model: string, signal: AbortSignal): Promise<boolean> {
  const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }], max_tokens: 1 });
  const question = { method: 'POST', path: '/v1/chat/completions/render', body } as const;
  const answer = await ask(engine, question, drawMs, signal);
  const rendered = answer.status === 200 ? chatRendering.safeParse(parseJson(answer.body)).data : undefined;
  return rendered?.sampling_params.skip_special_tokens === false;
}

/** 400 for a body that is no request; where it is switched off 403, where it never was 404. */
async function hasScaleOut(engine: Exchange, signal: AbortSignal): Promise<boolean> {
  const question = { method: 'POST', path: '/inference/v1/generate', body: '{}' } as const;
  return (await ask(engine, question, drawMs, signal)).status === 400;
}

async function isKeyedByPosition(engine: Exchange, model: string, signal: AbortSignal): Promise<boolean> {
  const drawn = await draw(engine, { model, prompt, max_tokens: drawnTokens, seed: seeds.ours }, signal);
  const answer = drawn?.[0] ?? [];
  if (answer.length !== drawnTokens) return false;
  const [, ...expected] = answer;
  const prompts = expected.map((_, i) => [...prompt, ...answer.slice(0, i + 1)]);
  const agreeing = async (seed: number): Promise<number | null> => {
    const again = await draw(engine, { model, prompt: prompts, max_tokens: 1, seed }, signal);
    return again && expected.filter((id, i) => again[i]?.[0] === id).length;
  };
  const ours = await agreeing(seeds.ours);
  if (ours === null || ours < agreeingMin) return false;
  const byChance = await agreeing(seeds.another);
  return byChance !== null && byChance <= agreeingByChanceMax;
}

/** The tokens of each prompt's answer; null: it did not say which. */
async function draw(
  engine: Exchange,
  request: {
    readonly model: string;
    readonly prompt: readonly number[] | readonly (readonly number[])[];
    readonly max_tokens: number;
    readonly seed: number;
  },
  signal: AbortSignal,
): Promise<readonly (readonly number[])[] | null> {
  const body = JSON.stringify({ ...request, ...sampling, ignore_eos: true, return_token_ids: true });
  const question = { method: 'POST', path: '/v1/completions', body } as const;
  const answer = await ask(engine, question, drawMs, signal);
  return answer.status === 200 ? idsIn(answer.body) : null;
}

function idsIn(body: string): readonly (readonly number[])[] | null {
  const { data } = drawing.safeParse(parseJson(body));
  return data?.choices.toSorted((a, b) => a.index - b.index).map(({ token_ids: ids }) => ids) ?? null;
}
