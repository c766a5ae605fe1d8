/** Runs a generation for an exchange: as a stream, or collected into one answer; dropped when the client goes. */
import type { Api } from './api.ts';
import type { Exchange } from './exchange.ts';
import type { ChoiceOutput, ChoiceRequest, Finish, Generation, TokenLikelihood } from './generation.ts';
import { engineDead } from './refusal.ts';

type ChoicesOf = { readonly requestId: string; readonly requests: readonly ChoiceRequest[] };

/** What an endpoint makes of outputs. */
type StreamWriter = {
  chunks(outputs: readonly ChoiceOutput[]): readonly object[];
  usageChunk(): object | null;
};

export type WholeChoice = ChoiceOutput & { readonly finish: Finish; readonly cachedTokens: number };

export function answerStream(api: Api, exchange: Exchange, choices: ChoicesOf, writer: StreamWriter): void {
  verifyAlive(api);
  const stream = exchange.stream();
  let unfinished = choices.requests.length;
  const generation: Generation = api.engine.submit(choices.requestId, choices.requests, {
    kind: 'stream',
    isReady: () => stream.isReady,
    deliver: (outputs) => {
      for (const chunk of writer.chunks(outputs)) stream.send(chunk);
      unfinished -= outputs.filter(({ finish }) => finish !== null).length;
      if (unfinished > 0) return;
      const usage = writer.usageChunk();
      if (usage !== null) stream.send(usage);
      stream.end();
    },
    fail: () => stream.endWithEngineDeath(),
  });
  stream.onReady(() => api.engine.resumeReading(generation));
  exchange.onGone(() => api.engine.drop(generation));
}

type Gathered = { text: string; tokenIds: number[]; likelihoods: TokenLikelihood[]; finish: Finish | null };

export function answerWhole(
  api: Api,
  exchange: Exchange,
  choices: ChoicesOf,
  bodyOf: (whole: readonly WholeChoice[]) => object,
): void {
  verifyAlive(api);
  const gathered = choices.requests.map((): Gathered => ({
    text: '',
    tokenIds: [],
    likelihoods: [],
    finish: null,
  }));
  const generation: Generation = api.engine.submit(choices.requestId, choices.requests, {
    kind: 'whole',
    isReady: () => true,
    deliver: (outputs) => {
      for (const output of outputs) add(gathered[output.index]!, output);
      if (gathered.some(({ finish }) => finish === null)) return;
      const whole = gathered.map((one, index) => ({
        ...one,
        index,
        finish: one.finish!,
        cachedTokens: generation.choices[index]!.cachedTokens,
      }));
      exchange.respond(200, bodyOf(whole));
    },
    fail: () => exchange.refuse(engineDead()),
  });
  exchange.onGone(() => api.engine.drop(generation));
}

function add(gathered: Gathered, { text, tokenIds, likelihoods, finish }: ChoiceOutput): void {
  gathered.text += text;
  gathered.tokenIds.push(...tokenIds);
  gathered.likelihoods.push(...likelihoods);
  gathered.finish = finish;
}

function verifyAlive(api: Api): void {
  if (api.phase() === 'dead' || api.engine.isGone) throw engineDead();
}
