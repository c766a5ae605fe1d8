/**
 * The command line: as much of `vllm serve` as a supervisor passes, in the same words, and knobs for what a real
 * engine's hardware would decide. Wrong flags end as vLLM's do, with a usage line, the complaint, and exit code 2.
 */
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { parseJson } from '../../std/json.ts';
import { Fields, isObject, type Json, type JsonObject } from './body.ts';
import type { RandomSource } from './model.ts';
import type { GenerationConfig } from './sampling.ts';
import { StartRefused } from './start-refused.ts';

export type EngineSettings = {
  /** As given; `/v1/models` shows it as `root`. */
  readonly model: string;
  readonly listen:
    | { readonly type: 'uds'; readonly path: string }
    | { readonly type: 'tcp'; readonly host: string; readonly port: number };
  /** The first one answers; all are accepted. */
  readonly servedNames: readonly string[];
  readonly contextTokens: number;
  readonly runningMax: number;
  /** How long a SIGTERM lets running requests finish, ms. 0: they are cut off. */
  readonly shutdownMs: number;
  readonly scaleOut: boolean;
  readonly autoTools: boolean;
  readonly hasParser: boolean;
  /** It takes special tokens for its own, as that of Qwen 3 does: every chat is asked for with them. */
  readonly hasReasoningParser: boolean;
  /** The model thinks and calls, and the parsers make something of it. */
  readonly markup: boolean;
  readonly requestIdHeaders: boolean;
  readonly promptTokenDetails: boolean;
  readonly apiKeys: readonly string[];
  readonly devMode: boolean;
  readonly generationConfig: GenerationConfig;
  readonly tokenMs: number;
  readonly ttftMs: number;
  readonly prefillUsPerToken: number;
  readonly startMs: number;
  readonly source: RandomSource;
  /** From which sampled requests without a seed of their own get one. Null: those are greedy. */
  readonly seed: number | null;
};

/** What the model was made for; no flag makes it longer. */
export const contextTokensMax = 8192;
const program = 'synkti simulated-engine';

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const options = {
  model: text,
  uds: text,
  host: text,
  port: text,
  'served-model-name': { type: 'string', multiple: true },
  'max-model-len': text,
  'max-num-seqs': text,
  'shutdown-timeout': text,
  'enable-scale-out': flag,
  'enable-auto-tool-choice': flag,
  'tool-call-parser': text,
  'reasoning-parser': text,
  markup: flag,
  'enable-request-id-headers': flag,
  'enable-prompt-tokens-details': flag,
  'override-generation-config': text,
  'api-key': { type: 'string', multiple: true },
  dtype: text,
  'enforce-eager': flag,
  'token-ms': text,
  'ttft-ms': text,
  'prefill-us-per-token': text,
  'start-ms': text,
  rng: text,
  seed: text,
} as const satisfies NonNullable<ParseArgsConfig['options']>;

type Flag = keyof typeof options;
type Values = { readonly [name in Flag]?: string | boolean | readonly (string | boolean)[] | undefined };

export function readFlags(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): EngineSettings {
  const { values, positionals, tokens } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const unknown = tokens.filter((token) => token.kind === 'option' && !(token.name in options));
  if (unknown.length > 0) {
    const names = unknown.map((token) => (token.kind === 'option' ? token.rawName : ''));
    throw usage(program, `unrecognized arguments: ${names.join(' ')}`);
  }
  const given = new Given(values as Values);
  const uds = given.text('uds');
  const port = given.whole('port') ?? 8000;
  given.choice('dtype', ['auto', 'bfloat16', 'float', 'float16', 'float32', 'half']);
  const envKey = env['VLLM_API_KEY'];
  const model = given.text('model') ?? positionals[0] ?? 'simulated';
  return {
    model,
    listen:
      uds === null
        ? { type: 'tcp', host: given.text('host') ?? '0.0.0.0', port }
        : { type: 'uds', path: uds },
    servedNames: given.texts('served-model-name') ?? [model],
    contextTokens: given.whole('max-model-len') ?? contextTokensMax,
    runningMax: given.whole('max-num-seqs') ?? 256,
    shutdownMs: (given.number('shutdown-timeout') ?? 0) * 1000,
    scaleOut: given.has('enable-scale-out'),
    autoTools: given.has('enable-auto-tool-choice') && given.text('tool-call-parser') !== null,
    hasParser: given.text('tool-call-parser') !== null || given.text('reasoning-parser') !== null,
    hasReasoningParser: given.text('reasoning-parser') !== null,
    markup: given.has('markup'),
    requestIdHeaders: given.has('enable-request-id-headers'),
    promptTokenDetails: given.has('enable-prompt-tokens-details'),
    apiKeys: given.texts('api-key') ?? (envKey === undefined ? [] : [envKey]),
    devMode: env['VLLM_SERVER_DEV_MODE'] === '1',
    generationConfig: configIn(given.object('override-generation-config')),
    tokenMs: given.number('token-ms') ?? 20,
    ttftMs: given.number('ttft-ms') ?? 0,
    prefillUsPerToken: given.number('prefill-us-per-token') ?? 0,
    startMs: given.number('start-ms') ?? 0,
    source: given.choice('rng', ['position', 'sequential']) ?? 'position',
    seed: given.whole('seed'),
  };
}

class Given {
  readonly #values: Values;

  constructor(values: Values) {
    this.#values = values;
  }

  has(name: Flag): boolean {
    return this.#values[name] !== undefined;
  }

  /** A flag that came without a value reads as `true`. */
  text(name: Flag): string | null {
    const value = this.#values[name];
    if (value === undefined) return null;
    if (typeof value !== 'string') throw misused(name, 'expected one argument');
    return value;
  }

  texts(name: Flag): readonly string[] | null {
    const value = this.#values[name];
    if (!Array.isArray(value)) return null;
    if (value.some((one) => typeof one !== 'string')) throw misused(name, 'expected at least one argument');
    return value as readonly string[];
  }

  number(name: Flag): number | null {
    const value = this.text(name);
    if (value === null) return null;
    const number = Number(value);
    if (value.trim() === '' || !(number >= 0) || number === Infinity)
      throw misused(name, `invalid float value: '${value}'`);
    return number;
  }

  /** `8k` is 8,000 and `8K` is 8,192, as in vLLM. */
  whole(name: Flag): number | null {
    const value = this.text(name);
    if (value === null) return null;
    const parts = /^(\d+)([kK]?)$/.exec(value);
    if (parts === null) throw misused(name, `invalid int value: '${value}'`);
    return Number(parts[1]) * { '': 1, k: 1000, K: 1024 }[parts[2] as '' | 'k' | 'K'];
  }

  object(name: Flag): JsonObject {
    const value = this.text(name);
    if (value === null) return {};
    const object = parseJson(value) as Json | undefined;
    if (isObject(object)) return object;
    throw misused(name, `Value ${value} cannot be converted to <function loads>.`);
  }

  choice<C extends string>(name: Flag, choices: readonly C[]): C | null {
    const value = this.text(name);
    const found = choices.find((choice) => choice === value);
    if (value === null || found !== undefined) return found ?? null;
    const list = choices.map((choice) => `'${choice}'`).join(', ');
    throw misused(name, `invalid choice: '${value}' (choose from ${list})`);
  }
}

/** In the words of the model's own generation_config.json, to which an operator's are added. */
function configIn(object: JsonObject): GenerationConfig {
  const fields = new Fields(object);
  return {
    temperature: fields.number('temperature'),
    topP: fields.number('top_p'),
    topK: fields.integer('top_k'),
    minP: fields.number('min_p'),
    presencePenalty: fields.number('presence_penalty'),
    frequencyPenalty: fields.number('frequency_penalty'),
    repetitionPenalty: fields.number('repetition_penalty'),
  };
}

const misused = (name: Flag, what: string): StartRefused => usage(program, `argument --${name}: ${what}`);

const usage = (who: string, what: string): StartRefused =>
  new StartRefused(2, `usage: ${program} [model_tag] [options]\n${who}: error: ${what}\n`);
