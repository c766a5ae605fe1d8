/**
 * What requests and answers cost the keys that ask for them: an estimate when a request comes in, which is corrected
 * when it is known what the answer took.
 */
import type { ApiKey } from '../node/api-key.ts';
import type { Serving } from '../node/serving.ts';
import type { Spent } from '../node/spent.ts';
import type { Json } from '../std/json.ts';
import type { Instant } from '../std/time.ts';
import type { Accounts } from './accounts.ts';
import { charactersPerToken } from './prompt.ts';
import { tooMany, type Reply } from './reply.ts';

/** What each answer to a request takes, while its key has had none: a paragraph or two. */
const answerTokens = 256;
/** Of the newest answer in what is expected of the next. */
const alpha = 0.1;
/** More than any engine takes. */
const choicesMax = 1_024;
const keysMax = 10_000;

export type Metered = {
  /** null: the API is open. */
  readonly key: ApiKey | null;
  readonly body: Json;
  /** What of it may be prompt, characters: nothing of a file. */
  readonly characters: number;
  /** A model computes for it word by word. */
  readonly generates: boolean;
};

/** By an estimate; `answer`: the tokens of all answers to it. */
type Charged = {
  readonly prompt: number;
  readonly answers: number;
  readonly answer: number;
  readonly at: Instant;
};

/** `refund`: it was not begun after all. */
type Admitted = { readonly spent: Spent; readonly refund: () => void };

type Meter = {
  /** A reply: its key may not ask for more just now. */
  admit(asked: Metered): Admitted | Reply;
  /**
   * For the rest of an answer, which was let in with its beginning: what to call with the tokens of all of it. Those
   * behind the `from` that the client had are charged here, for they may be charged nowhere else; and those behind `known`
   * where fewer are known to have been made.
   */
  rest(key: ApiKey | null, from: number): Spent;
};

export function openMeter(ports: {
  readonly accounts: Accounts;
  readonly serving: Pick<Serving, 'report'>;
}): Meter {
  const { accounts, serving } = ports;
  const expected = new Map<string, number>();

  /** What to call with the tokens of an answer; it is over once. */
  const charge = (key: ApiKey, { prompt, answers, answer: expects, at }: Charged): Spent => {
    let isOpen = true;
    let charged = expects;
    return (answer, { goesOn = false } = {}) => {
      if (!isOpen || (goesOn && answer <= charged)) return;
      isOpen = goesOn;
      // Who got none pays for no prompt either, and that there was none says nothing of the next one.
      if (answer === 0) return accounts.settle(key, 0, { tokens: prompt + expects, at });
      accounts.settle(key, answer, { tokens: charged, at });
      charged = answer;
      if (goesOn) return;
      if (expected.size >= keysMax && !expected.has(key.name)) expected.clear();
      const mean = expected.get(key.name) ?? answerTokens;
      expected.set(key.name, mean + alpha * (answer / answers - mean));
    };
  };

  function admit({ key, body, characters, generates }: Metered): Admitted | Reply {
    if (key === null) return unmetered;
    const prompt = Math.ceil(characters / charactersPerToken);
    const usual = generates ? (expected.get(key.name) ?? answerTokens) : 0;
    const answers = answersTo(body);
    const answer = Math.ceil(Math.min(maxTokensOf(body), usual) * answers);
    const verdict = accounts.admit(key, prompt + answer);
    if (verdict.type === 'admitted') {
      const { at } = verdict;
      const refund = (): void => accounts.settle(key, 0, { tokens: prompt + answer, at });
      return { spent: charge(key, { prompt, answers, answer, at }), refund };
    }
    serving.report({ fact: 'request.limited', key: key.name, what: verdict.what });
    return tooMany(verdict.what, verdict.retryAfterMs);
  }

  return {
    admit,
    rest: (key, from) => {
      let charged: number | null = null;
      return (tokens, { known = from } = {}) => {
        const had = charged ?? Math.min(from, known);
        if (key === null || tokens <= had) return;
        accounts.settle(key, tokens - had, null);
        charged = tokens;
      };
    },
  };
}

const unmetered: Admitted = { spent: () => {}, refund: () => {} };

function maxTokensOf(body: Json): number {
  const asked = body['max_completion_tokens'] ?? body['max_tokens'] ?? body['max_output_tokens'];
  return typeof asked === 'number' && asked > 0 ? asked : Infinity;
}

/** How many texts a model writes for it: several choices, to each of several prompts. */
function answersTo(body: Json): number {
  const { prompt } = body;
  const prompts = Array.isArray(prompt) && typeof prompt[0] !== 'number' ? prompt.length : 1;
  const choices = Math.max(wholeOf(body['n']), wholeOf(body['best_of']));
  return Math.min(choicesMax, Math.max(1, prompts) * choices);
}

const wholeOf = (value: unknown): number => (Number.isSafeInteger(value) ? Math.max(1, Number(value)) : 1);
