/**
 * What an exchange is: something said to an engine, and what of the answer must be the same on every engine that
 * calls itself vLLM. Both tiny models have the same single-byte tokens and the same end-of-turn token, so a list of
 * ids means the same on both, and a logit bias of 100 forces one token on both.
 */
import { idOfByte } from '../../src/engines/simulated/vocabulary.ts';
import { shapeOf, type Json } from './shape.ts';
import { eventsOf, type Answer, type Ask, type Call } from './talk.ts';

/** An engine that is serving. */
export type Talk = {
  readonly model: string;
  /** Longest prompt plus answer, tokens. */
  readonly context: number;
  ask(what: Ask): Promise<Answer>;
  call(what: Ask): Call;
};

export type Exchange = {
  /** Also the name of its recording. */
  readonly name: string;
  /** Without flags, or with `--enable-scale-out`. */
  readonly engine: 'plain' | 'scale-out';
  play(talk: Talk): Promise<Json>;
};

type Question = Ask | ((talk: Talk) => Ask);
type Facts = (answer: Answer) => Json;

/** One question: the shape of its answer and, where the words are forced, facts about them. */
export function exchange(
  name: string,
  question: Question,
  facts?: Facts,
  engine: Exchange['engine'] = 'plain',
): Exchange {
  return {
    name,
    engine,
    async play(talk) {
      const answer = await talk.ask(typeof question === 'function' ? question(talk) : question);
      const shape = shapeOf(answer, talk.model);
      return facts === undefined ? shape : { ...shape, facts: facts(answer) };
    },
  };
}

type Fields = Readonly<Record<string, unknown>>;

/** A greedy request of eight tokens, changed by `fields`. */
export const completion =
  (fields: Fields = {}, headers: Readonly<Record<string, string>> = {}) =>
  (talk: Talk): Ask => ({
    method: 'POST',
    path: '/v1/completions',
    headers,
    body: {
      model: talk.model,
      prompt: 'hello the',
      temperature: 0,
      ignore_eos: true,
      max_tokens: 8,
      ...fields,
    },
  });

export const chat =
  (fields: Fields = {}) =>
  (talk: Talk): Ask => ({
    method: 'POST',
    path: '/v1/chat/completions',
    body: {
      model: talk.model,
      messages: [{ role: 'user', content: 'hi the é' }],
      temperature: 0,
      ignore_eos: true,
      max_tokens: 6,
      ...fields,
    },
  });

export const post = (path: string, body: unknown): Ask => ({ method: 'POST', path, body });
export const get = (path: string): Ask => ({ method: 'GET', path });

/** The end-of-turn token of both models. */
export const eos = 2;
export const idsOfBytes = (...bytes: readonly number[]): number[] => bytes.map(idOfByte);
export const idsOf = (text: string): number[] => idsOfBytes(...Buffer.from(text));
export const forced = (id: number): Fields => ({ logit_bias: { [id]: 100 } });

type Choice = {
  readonly index?: number;
  readonly text?: string;
  readonly delta?: { readonly content?: string | null };
  readonly token_ids?: readonly number[] | null;
};
type Chunk = {
  readonly choices?: readonly Choice[];
  readonly usage?: { readonly completion_tokens: number };
};

/** What each chunk of the first choice brought. */
export const piecesOf = (
  answer: Answer,
): readonly { readonly text: string; readonly ids: readonly number[] }[] =>
  (eventsOf(answer.body) as readonly Chunk[])
    .flatMap((chunk) => chunk.choices ?? [])
    .filter((choice) => choice.index === 0)
    .map((choice) => ({ text: choice.text ?? choice.delta?.content ?? '', ids: choice.token_ids ?? [] }));

export const textOf = (answer: Answer): string =>
  piecesOf(answer)
    .map((piece) => piece.text)
    .join('');
export const idsIn = (answer: Answer): readonly number[] => piecesOf(answer).flatMap((piece) => piece.ids);

/** How many tokens each choice brought, by its ids. */
export function tokensByChoice(answer: Answer): Json {
  const counts: Record<string, number> = {};
  for (const choice of (eventsOf(answer.body) as readonly Chunk[]).flatMap((chunk) => chunk.choices ?? []))
    counts[choice.index ?? 0] = (counts[choice.index ?? 0] ?? 0) + (choice.token_ids?.length ?? 0);
  return counts;
}

/** The last usage told in a stream equals the ids that came. */
export const usageIsExact: Facts = (answer) => {
  const told = (eventsOf(answer.body) as readonly Chunk[]).findLast((chunk) => chunk.usage)?.usage;
  return { usageIsExact: told?.completion_tokens === idsIn(answer).length };
};
