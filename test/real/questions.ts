/**
 * What is asked of real engines, for each way in which an answer goes on: of a model with random weights, whose answers
 * are as long as wished and full of broken characters, and of one that has learnt to think and to call.
 */
import type { Body, Endpoint, Heard } from '../bench/chaos/heard.ts';

export type Asked = {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly body: Body;
};
export const models = ['random', 'script'] as const;
export type ModelName = (typeof models)[number];

type Kind = Partial<Pick<Asked, 'endpoint'>> & {
  readonly text?: string;
  readonly body: Body;
};

const harbour = {
  type: 'object',
  properties: {
    harbour: { type: 'string', maxLength: 40 },
    berths: { type: 'array', minItems: 12, maxItems: 16, items: { enum: ['free', 'taken', 'closed'] } },
  },
  required: ['harbour', 'berths'],
  additionalProperties: false,
};
const schema = { type: 'json_schema', json_schema: { name: 'harbour', schema: harbour } };
const told = { stream_options: { include_usage: true } };

const ofRandom: Readonly<Record<string, Kind>> = {
  chat: { body: told },
  completion: { endpoint: 'completions', body: told },
  'frequency penalty': { body: { frequency_penalty: 0.5 } },
  'repetition penalty': { endpoint: 'completions', body: { repetition_penalty: 1.2 } },
  'presence penalty': { body: { presence_penalty: 0.8 } },
  'two choices': { body: { n: 2, temperature: 0.8, seed: 5, ...told } },
  seed: { body: { temperature: 0.8, seed: 11 } },
  'JSON schema': { body: { response_format: schema, ignore_eos: false } },
};

const unthinking = { chat_template_kwargs: { enable_thinking: false } };
const properties = { harbour: { type: 'string', maxLength: 40 }, passengers: { type: 'integer' } };
const parameters = { type: 'object', properties, required: ['harbour'], additionalProperties: false };
const tools = ['timetable', 'tide'].map((name) => ({ type: 'function', function: { name, parameters } }));

/** The texts are those that the model has learnt (make-script-model.py). */
const ofScript: Readonly<Record<string, Kind>> = {
  'reasoning and a call': {
    text: 'When does the ferry to Skye leave?',
    body: { tools, ...told },
  },
  'two calls': { text: 'Compare the tides of Oban and Saint-Malo.', body: { tools } },
  reasoning: { text: 'Why do lighthouses blink?', body: told },
  'multi-byte text': { text: 'Name harbours of the north.', body: { ...unthinking, ...told } },
  'a call that must be': {
    text: 'Compare the tides of Oban and Saint-Malo.',
    body: { tools, tool_choice: 'required', max_tokens: 150 },
  },
  'JSON schema': {
    text: 'Name harbours of the north.',
    body: { ...unthinking, response_format: schema, max_tokens: 200 },
  },
};

const kindsOf = { random: ofRandom, script: ofScript } as const;
const tokensOf = { random: 300, script: 500 } as const;
/** Of which of them the stop string is taken. */
const longOf = { random: 'chat', script: 'multi-byte text' } as const;

export function questionsOf(name: ModelName, model: string): readonly Asked[] {
  const usual = {
    ...{ model, max_tokens: tokensOf[name], temperature: 0, return_token_ids: true },
    ...(name === 'random' ? { ignore_eos: true } : {}),
  };
  return Object.entries(kindsOf[name]).map(([kind, asking], i) => {
    const { endpoint = 'chat', text, body } = asking;
    const content = text ?? `Tell me, in your own words, what tide number ${i} did next to the harbour wall.`;
    const asked = endpoint === 'chat' ? { messages: [{ role: 'user', content }] } : { prompt: content };
    return { name: kind, endpoint, body: { ...usual, ...asked, ...body } };
  });
}

/** One more question, at whose end stands a string out of the answer to another one. */
export function stopping(name: ModelName, asked: readonly Asked[], answers: readonly Heard[]): Asked {
  const at = asked.findIndex((one) => one.name === longOf[name]);
  const text = answers[at]?.choices.get(0)?.text ?? '';
  return {
    ...asked[at]!,
    name: 'stop string',
    body: { ...asked[at]!.body, stop: [lateIn(text), 'never said'] },
  };
}

const stopLength = 4;

/** Plain characters that stand nowhere before the last third. */
function lateIn(text: string): string {
  for (let at = Math.floor((text.length * 2) / 3); at + stopLength <= text.length; at++) {
    const piece = text.slice(at, at + stopLength);
    if (/^[\x20-\x7e]+$/.test(piece) && text.indexOf(piece) === at) return piece;
  }
  throw new Error(`no string of ${stopLength} plain characters is new in the last third of: ${text}`);
}
