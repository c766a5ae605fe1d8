/** The Messages and the Responses API of the simulated engine, held to what was recorded of vLLM. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { EngineProcess } from './engine-process.ts';

let engine: EngineProcess;
before(async () => (engine = await new EngineProcess(['--token-ms', '1']).ready()));
after(() => engine[Symbol.asyncDispose]());

type Json = { readonly [key: string]: unknown };
async function post(
  path: string,
  body: object,
): Promise<{ readonly status: number | null; readonly json: Json }> {
  const { status, body: text } = await engine.post(path, body);
  return { status, json: JSON.parse(text) as Json };
}

const said = [{ role: 'user', content: 'hi' }];
const contentOf = async (): Promise<unknown> => {
  const { json } = await post('/v1/chat/completions', { messages: said, max_tokens: 4, temperature: 0 });
  return (json['choices'] as { message: { content: string } }[])[0]!.message.content;
};

test('a message is what the chat would say, in the words of the Messages API', async () => {
  const { status, json } = await post('/v1/messages', { messages: said, max_tokens: 4, temperature: 0 });
  equal(status, 200);
  const keys = ['id', 'type', 'role', 'content', 'model', 'stop_reason', 'usage'];
  deepEqual(Object.keys(json), keys);
  deepEqual(json['content'], [{ type: 'text', text: await contentOf() }]);
  deepEqual([json['stop_reason'], (json['usage'] as Json)['output_tokens']], ['max_tokens', 4]);
  const counted = await post('/v1/messages/count_tokens', { messages: said });
  deepEqual(counted.json, { input_tokens: (json['usage'] as Json)['input_tokens'] });
});

test('a system prompt counts, alike in both of them', async () => {
  const tokens = async (path: string, body: object): Promise<unknown> =>
    ((await post(path, body)).json['usage'] as Json)['input_tokens'];
  const plain = await tokens('/v1/messages', { messages: said, max_tokens: 1 });
  const told = await tokens('/v1/messages', { messages: said, max_tokens: 1, system: 'be brief' });
  equal(Number(told) > Number(plain), true);
  const parts = [{ role: 'user', content: [{ type: 'input_text', text: 'hi' }] }];
  const same = { input: parts, instructions: 'be brief', max_output_tokens: 1 };
  equal(await tokens('/v1/responses', same), told);
});

test('a response has the fields that vLLM gives it, and stores nothing', async () => {
  const { status, json } = await post('/v1/responses', { input: 'hi', max_output_tokens: 4, temperature: 0 });
  equal(status, 200);
  match(String(json['id']), /^resp_/);
  deepEqual(
    [json['object'], json['status'], json['incomplete_details'], json['previous_response_id']],
    ['response', 'incomplete', { reason: 'max_output_tokens' }, null],
  );
  const [output] = json['output'] as { content: { text: string }[] }[];
  equal(output?.content[0]?.text, await contentOf());
  equal(Object.keys(json).length, 32);
});

test('a stream of either, which nobody recorded, is refused', async () => {
  for (const path of ['/v1/messages', '/v1/responses']) {
    const { status } = await post(path, { messages: said, input: 'hi', max_tokens: 4, stream: true });
    equal(status, 400);
  }
});
