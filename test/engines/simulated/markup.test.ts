/** A model that thinks and calls, its parsers, and derender, which has to make the same of the same ids. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { deltaBetween, markupAfter, parseMarkup } from '../../../src/engines/simulated/markup.ts';
import { decode, encode, eosId } from '../../../src/engines/simulated/vocabulary.ts';
import { EngineProcess, type Event, type Loose } from './engine-process.ts';

const flags = ['--enable-scale-out', '--enable-auto-tool-choice', '--tool-call-parser=hermes', '--markup'];
let engine: EngineProcess;
before(async () => (engine = await new EngineProcess([...flags, '--token-ms', '1']).ready()));
after(() => engine[Symbol.asyncDispose]());

const chat = '/v1/chat/completions';
const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }];
const request = {
  model: 'simulated',
  messages: [{ role: 'user', content: 'How is it there?' }],
  tools,
  temperature: 0,
  ignore_eos: true,
  max_tokens: 150,
  return_token_ids: true,
};

const deltasOf = (events: readonly Event[]): readonly Loose[] =>
  events
    .filter((event) => event !== '[DONE]')
    .flatMap((event) => event.choices)
    .map((choice: Loose) => choice.delta);

function told(deltas: readonly Loose[]) {
  const args: Record<number, string> = {};
  for (const call of deltas.flatMap((delta) => delta.tool_calls ?? []))
    args[call.index] =
      (args[call.index] ?? '') + (call.function.name ?? '') + (call.function.arguments ?? '');
  const all = (name: string): string => deltas.map((delta) => delta[name] ?? '').join('');
  return { content: all('content'), reasoning: all('reasoning'), args };
}

test('what a turn begins with follows from the prompt, and how far it has come from the prompt as well', () => {
  const prompt = encode('<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n', 99);
  const all = markupAfter(prompt);
  ok(decode(all, { skipSpecial: false }).startsWith('<think>\n'));
  for (let at = 0; at <= all.length; at++)
    deepEqual(markupAfter([...prompt, ...all.slice(0, at)]), all.slice(at));
  deepEqual(markupAfter([...prompt, all[0]!, 7]), []);
  deepEqual(markupAfter(encode('a text', 99)), []);
});

test('whatever is told of a growing text stays told', () => {
  const prompt = encode('<tools>\n{"name":"f"}\n<|im_start|>assistant\n', 99);
  const text = `${decode(markupAfter(prompt), { skipSpecial: false })}and <tool_cal on`;
  const deltas = [...text].map((_, i) =>
    deltaBetween(parseMarkup(text.slice(0, i)), parseMarkup(text.slice(0, i + 1)), 'x'),
  );
  const whole = deltaBetween(parseMarkup(''), parseMarkup(text), 'x');
  deepEqual(told(deltas), told([whole]));
  equal(told(deltas).reasoning.includes('</think>') || told(deltas).content.includes('tool_call>'), false);
  ok(Object.keys(told(deltas).args).length === 1);
});

test('a chat with tools thinks, calls and goes on, as a stream and as a whole', async () => {
  const events = await engine.stream(chat, { ...request, stream: true });
  const { reasoning, args, content } = told(deltasOf(events));
  const { body } = await engine.json(chat, request);
  const { message } = body.choices[0];
  deepEqual([message.reasoning, message.tool_calls.length], [reasoning, 1]);
  equal(`weather${message.tool_calls[0].function.arguments}`, args[0]);
  equal(message.content, content.trim());
});

test('a turn that ends after its calls ends for them', async () => {
  const rest = { ...request, ignore_eos: false, max_tokens: 2_000 };
  const { body } = await engine.json(chat, rest);
  equal(body.choices[0].finish_reason, 'tool_calls');
  equal((await engine.json(chat, { ...rest, tools: undefined })).body.choices[0].finish_reason, 'stop');
});

test('cut anywhere, generate and derender go on with the very rest', async () => {
  const events = await engine.stream(chat, { ...request, stream: true });
  const chunks = events.filter((event) => event !== '[DONE]').slice(1);
  const ids: readonly number[] = chunks.flatMap((chunk) => chunk.choices[0].token_ids);
  const { body: rendered } = await engine.json(`${chat}/render`, { ...request, stream: true });
  const derender = async (given: readonly number[], state: Loose): Promise<Loose> => {
    const choices = [{ index: 0, token_ids: given, finish_reason: null, stop_reason: null }];
    const { body } = await engine.json(`${chat}/derender`, {
      ...{
        stream: true,
        model: 'simulated',
        generate_chunk: { request_id: 'g', choices },
        stream_state: state,
      },
      ...{
        chat_request: request,
        prompt_token_ids: rendered.token_ids,
        prompt_tokens: rendered.token_ids.length,
      },
    });
    return body;
  };
  // Between chunks: on a busy machine some have several tokens.
  for (let next = 1; next < chunks.length; next += 7) {
    const rest = chunks.slice(next);
    const at = chunks.slice(0, next).flatMap((chunk) => chunk.choices[0].token_ids).length;
    const { stream_state: state } = await derender(ids.slice(0, at), null);
    const { body: generated } = await engine.json('/inference/v1/generate', {
      ...rendered,
      stream: false,
      token_ids: [...rendered.token_ids, ...ids.slice(0, at)],
      sampling_params: { ...rendered.sampling_params, max_tokens: ids.length - at },
    });
    const made = generated.choices[0].token_ids;
    deepEqual(made, ids.slice(at));
    const half = Math.ceil(made.length / 2);
    const first = await derender(made.slice(0, half), state);
    const second = await derender(made.slice(half), first.stream_state);
    const parts = [first, second].map(({ chunk }) => chunk.choices[0].delta);
    deepEqual(told(parts), told(deltasOf(rest)), `cut after ${at}`);
  }
});

test('with a parser derender knows all earlier ids, also where the model has no markup', async () => {
  const plain = flags.filter((flag) => flag !== '--markup');
  await using unmarked = await new EngineProcess([...plain, '--token-ms', '1']).ready();
  const ids = [...encode('one ', 99), ...encode('two ', 99)];
  const told: string[] = [];
  let state: Loose = null;
  for (const [at, id] of ids.entries()) {
    const choices = [{ index: 0, token_ids: [id], finish_reason: null, stop_reason: null }];
    const { body } = await unmarked.json(`${chat}/derender`, {
      ...{ stream: true, model: 'simulated', generate_chunk: { request_id: 'g', choices } },
      ...{ stream_state: state, chat_request: request, prompt_token_ids: [7], prompt_tokens: 1 },
    });
    state = body.stream_state;
    told.push(body.chunk.choices[0].delta.content ?? '');
    deepEqual(state.output_token_ids, ids.slice(0, at + 1));
  }
  equal(told.join(''), 'one two ');
});

test('what a parser is to see of special tokens everybody sees, and nobody where none parses', async () => {
  await using thinks = await new EngineProcess([
    ...flags,
    '--token-ms',
    '1',
    '--reasoning-parser=qwen3',
  ]).ready();
  const ends = '<|im_end|>';
  const biased = { ...request, max_tokens: 200, logit_bias: { [eosId]: 100 } };
  for (const [on, rest, shows] of [
    [engine, {}, true],
    [engine, { tool_choice: 'none' }, false],
    [engine, { tools: undefined }, false],
    [thinks, { tools: undefined }, true],
  ] as const) {
    const asked = { ...biased, ...rest };
    const [{ body }, { body: rendered }] = [
      await on.json(chat, asked),
      await on.json(`${chat}/render`, asked),
    ];
    const { message, token_ids: ids } = body.choices[0];
    ok(ids.includes(eosId));
    equal(message.content?.includes(ends) ?? false, shows, JSON.stringify(rest));
    equal(rendered.sampling_params.skip_special_tokens, shows ? false : undefined);
  }
});
