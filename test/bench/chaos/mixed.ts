/**
 * All kinds of questions that are not answered as plain text is. Each is put once while nothing is wrong, and what was
 * answered then is what has to be answered whenever it is put again.
 */
import { randomUUID } from 'node:crypto';
import type OpenAI from 'openai';
import { compare, type Accuracy } from './accuracy.ts';
import type { Body, Endpoint, Heard } from './heard.ts';
import { converse, type Question } from './stream.ts';

const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const tools = [{ type: 'function', function: { name: 'weather', parameters } }];
const schema = { type: 'json_schema', json_schema: { name: 'place', schema: parameters } };
const forced = JSON.stringify({
  city: 'Zürich ☕',
  note: 'a text that a grammar forces word by word '.repeat(4),
});

const three = { n: 3, temperature: 0.8, seed: 7 };

type Kind = { readonly endpoint?: Endpoint; readonly body: Body };

const kinds: Readonly<Record<string, Kind>> = {
  'tools, automatic': { body: { tools, tool_choice: 'auto' } },
  'tools, required': { body: { tools, tool_choice: 'required' } },
  'JSON schema': { body: { response_format: schema } },
  'forced text': { body: { structured_outputs: { choice: [forced] } } },
  reasoning: { body: { chat_template_kwargs: { enable_thinking: true }, include_reasoning: true } },
  'multi-byte text': { body: { stream_options: { include_usage: true } } },
  logprobs: { body: { logprobs: true, top_logprobs: 2 } },
  'three choices': { body: three },
  'three choices, counted': { body: { ...three, stream_options: { include_usage: true } } },
  'three choices of calls': { body: { ...three, tools, tool_choice: 'auto' } },
  'three choices with logprobs': { body: { ...three, logprobs: true } },
  'three choices of a completion': { endpoint: 'completions', body: three },
  'presence penalty': { body: { presence_penalty: 0.7 } },
  'frequency penalty': { body: { frequency_penalty: 0.5 } },
  'repetition penalty': { body: { repetition_penalty: 1.2 } },
  'all penalties': { body: { presence_penalty: 0.4, frequency_penalty: 0.3, repetition_penalty: 1.1 } },
  seed: { body: { temperature: 0.8, seed: 42 } },
  'completion with logprobs': { endpoint: 'completions', body: { logprobs: 1 } },
  completion: { endpoint: 'completions', body: { seed: 3, temperature: 1 } },
};

/** Rejects when one of them is not answered although nothing is wrong. */
export async function mixedQuestions(client: OpenAI): Promise<readonly Question[]> {
  const asked = Object.entries(kinds).map(([name, kind], i) => ({ name, ...questionOf(kind, i) }));
  const answered = await Promise.all(asked.map((question) => answerOnce(client, question)));
  // The strings at which it stops are taken out of what it says without them, so that they are met late.
  const text = answered.find(({ name }) => name === 'multi-byte text')!.said.choices.get(0)!.text;
  const stop = [...text].slice(-40, -34).join('');
  const stopping = asked
    .filter(({ name }) => name === 'multi-byte text')
    .map(({ endpoint, body }) => ({
      name: 'stop string',
      endpoint,
      body: { ...body, stop: [stop, 'never said'] },
    }));
  const stopped = await Promise.all(stopping.map((question) => answerOnce(client, question)));
  return [...answered, ...stopped];
}

function questionOf({ endpoint = 'chat', body }: Kind, i: number) {
  const text = `Question ${i}: what does a node tell the others?`;
  const asked = endpoint === 'chat' ? { messages: [{ role: 'user', content: text }] } : { prompt: text };
  const usual = {
    model: 'simulated',
    max_tokens: 120,
    temperature: 0,
    ignore_eos: true,
    return_token_ids: true,
  };
  return { endpoint, body: { ...usual, ...asked, ...body } };
}

async function answerOnce(
  client: OpenAI,
  asked: Omit<Question, 'judge'>,
): Promise<Question & { readonly said: Heard }> {
  const unjudged: Question = { ...asked, judge: () => ({ wrong: 0, doubled: 0 }) };
  const { cut, heard: said } = await converse(client, unjudged, randomUUID());
  if (cut !== null) throw new Error(`${asked.name}: not answered although nothing is wrong: ${cut}`);
  return { ...asked, said, judge: (heard, complete) => judge(heard, said, complete) };
}

/** Of an answer that was cut, what there is of it counts. */
export function judge(heard: Heard, said: Heard, complete: boolean): Accuracy {
  const parts = [...said.choices].map(([index, { ids }]) => {
    const got = heard.choices.get(index)?.ids ?? [];
    return compare(got, complete ? ids : ids.slice(0, got.length));
  });
  const wrong = parts.reduce((sum, part) => sum + part.wrong, 0);
  const doubled = parts.reduce((sum, part) => sum + part.doubled, 0);
  if (wrong + doubled > 0 || !complete) return { wrong, doubled };
  const [got, wanted] = [JSON.stringify(shown(heard)), JSON.stringify(shown(said))];
  return got === wanted ? { wrong, doubled } : { wrong: 1, doubled, how: differenceOf(got, wanted) };
}

/** Where they part, and a little of what follows in each. */
function differenceOf(got: string, wanted: string): string {
  const at = [...got].findIndex((char, i) => char !== [...wanted][i]);
  const around = (text: string): string => [...text].slice(Math.max(0, at - 20), at + 60).join('');
  return `${around(got)} instead of ${around(wanted)}`;
}

/** Choices speak in turn, but not always in the same one. */
const shown = ({ choices, usage }: Heard) => ({ choices: [...choices].sort(([a], [b]) => a - b), usage });
