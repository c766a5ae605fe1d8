/** How the likelihoods of tokens are written, in the three forms that the endpoints have. */
import { isObject, type Json, type JsonObject } from './body.ts';
import type { TokenLikelihood } from './generation.ts';
import { beginning, extend, likelihoods, tokenText, type Likelihood } from './model.ts';
import { verifyTokenIds } from './sampling.ts';

/** Texts of tokens, or `token_id:7` where a request wants that. */
const nameOf = (id: number, before: readonly number[], byId: boolean): string =>
  byId ? `token_id:${id}` : tokenText(id, before);

/** The chosen token first, then the best that are not it. */
const withChosen = ({ chosen, best }: TokenLikelihood): readonly Likelihood[] => [
  chosen,
  ...best.filter(({ id }) => id !== chosen.id),
];

/** Null: the first token of a prompt, of which nothing can be said but its text. */
export type Scored = { readonly id: number; readonly likelihood: TokenLikelihood | null };

/**
 * The form of /v1/completions. `offset` is where the first token begins, in characters; two candidates with the same
 * text are one key.
 */
export function completionLogprobs(
  scored: readonly Scored[],
  options: { readonly offset: number; readonly count: number; readonly byId: boolean },
): { readonly body: object; readonly nextOffset: number } {
  const offsets: number[] = [];
  let offset = options.offset;
  const names = scored.map(({ id, likelihood }) => nameOf(id, likelihood?.before ?? [], options.byId));
  for (const name of names) {
    offsets.push(offset);
    offset += [...name].length;
  }
  const top = scored.map(({ likelihood }) => {
    if (likelihood === null) return null;
    const shown = withChosen(likelihood).slice(0, options.count + 1);
    return Object.fromEntries(
      shown.map(({ id, logprob }) => [nameOf(id, likelihood.before, options.byId), logprob]),
    );
  });
  const body = {
    text_offset: offsets,
    token_logprobs: scored.map(({ likelihood }) => likelihood?.chosen.logprob ?? null),
    tokens: names,
    top_logprobs: top,
  };
  return { body, nextOffset: offset };
}

/** The form of chat, and of /inference/v1/generate with text. */
export function chatLogprobs(
  tokens: readonly TokenLikelihood[],
  options: { readonly count: number; readonly byId: boolean },
): object {
  return {
    content: tokens.map((token) => {
      const entry = ({ id, logprob }: Likelihood): object => {
        const name = nameOf(id, token.before, options.byId);
        return { token: name, logprob, bytes: [...Buffer.from(name)] };
      };
      const top = withChosen(token).slice(0, options.count);
      return { ...entry(token.chosen), top_logprobs: top.map(entry) };
    }),
  };
}

/** The form of /inference/v1/generate with ids alone. */
export function tokenLogprobs(tokens: readonly TokenLikelihood[], count: number): object {
  const entry = ({ id, logprob, rank }: Likelihood): object => ({ token_id: id, logprob, rank });
  return {
    content: tokens.map((token) => ({
      ...entry(token.chosen),
      top_logprobs: withChosen(token).slice(0, count).map(entry),
    })),
  };
}

/** What the model thinks of a prompt; of its first token nothing. */
export function scorePrompt(ids: readonly number[], count: number): readonly Scored[] {
  let context = beginning;
  return ids.map((id, i) => {
    const before = ids.slice(Math.max(0, i - 3), i);
    const likelihood = i === 0 ? null : { ...likelihoods(context, id, count), before };
    context = extend(context, id);
    return { id, likelihood };
  });
}

/** Logprobs by id, as /inference/v1/generate gave them, in the form of chat. `before`: the ids just before. */
export function renamedLogprobs(given: Json | undefined, before: readonly number[]): object | null {
  const content = isObject(given) ? given['content'] : null;
  if (!Array.isArray(content)) return null;
  let context = before;
  const tokens = (content as readonly Json[]).filter(isObject).map((one) => {
    const likelihood = likelihoodIn(one);
    const top = one['top_logprobs'];
    const best = Array.isArray(top) ? (top as readonly Json[]).filter(isObject).map(likelihoodIn) : [];
    const token = { chosen: likelihood, best, before: context };
    context = [...context, likelihood.id].slice(-3);
    return token;
  });
  const count = Math.max(0, ...tokens.map(({ best }) => best.length));
  return chatLogprobs(tokens, { count, byId: false });
}

function likelihoodIn(entry: JsonObject): Likelihood {
  const id = Number(entry['token_id']);
  verifyTokenIds([id]);
  return { id, logprob: Number(entry['logprob'] ?? 0), rank: Number(entry['rank'] ?? 0) };
}
