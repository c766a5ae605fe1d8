import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import OpenAI, { toFile } from 'openai';
import { formPaths, jsonPaths } from '../../src/gateway/surface.ts';
import { FakeCluster, until } from './fake-cluster.ts';

let cluster: FakeCluster;
beforeEach(async () => {
  cluster = await FakeCluster.of(3);
});
afterEach(() => cluster[Symbol.asyncDispose]());

function prefer(serving: number): void {
  for (const node of cluster.nodes)
    cluster.get(0).heard.set(node.id, { running: node === cluster.get(serving) ? 0 : 50, waiting: 0 });
}

const post = (path: string, sent: unknown, init: RequestInit = {}): Promise<Response> =>
  fetch(cluster.get(0).url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(sent),
    ...init,
  });

type Said = { readonly error: Readonly<Record<string, unknown>> };
const errorOf = async (response: Response): Promise<Said['error']> => ((await response.json()) as Said).error;

test('every endpoint of the surface is answered by the own engine and by that of another node', async () => {
  for (const serving of [0, 1]) {
    prefer(serving);
    for (const path of jsonPaths) {
      const response = await post(path, { model: 'tiny', input: 'a' });
      equal(response.status, 200, path);
      equal(((await response.json()) as { path: string }).path, path);
      equal(response.headers.get('x-synkti-served-by'), `n${serving}`);
    }
    deepEqual(
      cluster.get(serving).engine.asked.map(({ path }) => path),
      jsonPaths,
    );
  }
});

test('what only the gateway may use, and what changes an engine, is not there', async () => {
  const closed = ['/inference/v1/generate', '/v1/chat/completions/render', '/v1/chat/completions/derender'];
  const inside = [
    '/sleep',
    '/v1/load_lora_adapter',
    '/collective_rpc',
    '/invocations',
    '/reset_prefix_cache',
  ];
  for (const path of [...closed, ...inside]) equal((await post(path, { model: 'tiny' })).status, 404, path);
});

test('a form with a file goes through byte by byte, sent by the official client', async () => {
  prefer(1);
  const client = new OpenAI({ baseURL: `${cluster.get(0).url}/v1`, apiKey: 'none', maxRetries: 0 });
  const audio = Buffer.from(Array.from({ length: 70_000 }, (_, i) => i % 251));
  await client.audio.transcriptions.create({ file: await toFile(audio, 'a.wav'), model: 'tiny' });
  const [asked] = cluster.get(1).engine.asked;
  equal(asked?.path, formPaths[0]);
  match(String(asked?.headers['content-type']), /^multipart\/form-data; ?boundary=/);
  ok(String(asked?.body['form']).includes('filename="a.wav"'));
});

test('a form is refused without a model, with the wrong type, and above its own bound', async () => {
  const form = new FormData();
  form.set('file', new Blob(['x']), 'a.wav');
  const sent = (body: FormData | string, headers = {}): Promise<Response> =>
    fetch(`${cluster.get(0).url}${formPaths[0]}`, { method: 'POST', body, headers });
  equal((await errorOf(await sent(form)))['code'], 'missing_required_parameter');
  equal((await sent('{}', { 'content-type': 'application/json' })).status, 400);
  form.set('model', 'tiny');
  form.set('file', new Blob([new Uint8Array(17 * 1_024 ** 2)]), 'a.wav');
  equal((await sent(form)).status, 200);
  form.set('file', new Blob([new Uint8Array(26 * 1_024 ** 2)]), 'a.wav');
  equal((await sent(form)).status, 413);
});

test('an engine that breaks before its answer is there costs the client nothing', async () => {
  prefer(1);
  cluster.get(1).engine.mode = 'broken';
  const broken = await post('/v1/embeddings', { model: 'tiny', input: 'a' });
  deepEqual([broken.status, broken.headers.get('x-synkti-served-by') === 'n1'], [200, false]);
  cluster.get(1).engine.mode = 'draining';
  equal((await post('/v1/embeddings', { model: 'tiny', input: 'a' })).status, 200);
});

test('what runs on a member that drains is asked of another one while nothing was delivered', async () => {
  prefer(1);
  cluster.get(1).engine.paceMs = 3_000;
  const answer = post('/v1/embeddings', { model: 'tiny', input: 'a' });
  await until(() => cluster.get(1).engine.running === 1, 'it runs there');
  cluster.drain(cluster.get(1));
  equal((await answer).status, 200);
  await until(() => cluster.get(1).engine.running === 0, 'it was given up there');
  deepEqual(
    [...cluster.get(0).sent.values()].filter((count) => count !== 0),
    [],
  );
});

test('what runs on a member that drains stays there while there is nowhere else to go', async () => {
  for (const node of cluster.nodes.slice(1)) node.standing = 'draining';
  cluster.get(0).engine.paceMs = 200;
  const answer = post('/v1/embeddings', { model: 'tiny', input: 'a' });
  await until(() => cluster.get(0).engine.running === 1, 'it runs there');
  cluster.drain(cluster.get(0));
  equal((await answer).status, 200);
  equal(cluster.get(0).engine.asked.length, 1);
});

test('a stream goes through event by event, and says so when it breaks off', async () => {
  prefer(1);
  const whole = await post('/v1/responses', { model: 'tiny', input: 'a', stream: true });
  match(whole.headers.get('content-type') ?? '', /^text\/event-stream/);
  equal((await whole.text()).split('\n\n').filter((event) => event !== '').length, 3);
  const [begun, ...more] = cluster.get(0).named('stream.begun');
  deepEqual([begun?.['model'], begun?.['request'], more], ['tiny', whole.headers.get('x-request-id'), []]);
  ok(Number(begun?.['ttftMs']) > 0);
  cluster.get(1).engine.paceMs = 3_000;
  const broken = await post('/v1/messages', { model: 'tiny', messages: [], stream: true });
  await cluster.get(1).engine.die();
  const text = await broken.text();
  match(
    text,
    /^event: begun\n[^]*\n\nevent: error\ndata: \{"error":\{"message":"[^"]+","type":"server_error"/,
  );
  await cluster.get(1).engine.listen();
});

test('a refusal of the engine is given back in the shape of OpenAI, and asked of nobody else', async () => {
  prefer(1);
  cluster.get(1).engine.mode = 'lost';
  const response = await post('/v1/embeddings', { model: 'tiny', input: 'a' });
  equal(response.status, 404);
  equal((await errorOf(response))['message'], 'The engine of this model does not offer this endpoint.');
  equal(
    cluster.nodes.reduce((asked, { engine }) => asked + engine.asked.length, 0),
    1,
  );
});

test('a response that some engine would have to remember is refused', async () => {
  for (const field of [{ previous_response_id: 'resp_1' }, { background: true }]) {
    const response = await post('/v1/responses', { model: 'tiny', input: 'a', ...field });
    deepEqual([response.status, (await errorOf(response))['param']], [400, Object.keys(field)[0]]);
  }
});

test('who asks for a model that nobody serves reads which there are', async () => {
  for (const path of ['/v1/chat/completions', '/v1/embeddings']) {
    const response = await post(path, { model: 'huge', messages: [] });
    equal(response.status, 404);
    const error = await errorOf(response);
    equal(error['code'], 'model_not_found');
    match(String(error['message']), /There is `tiny`\./);
  }
});

test('who asks for a model that is starting is told when to come back', async () => {
  for (const node of cluster.nodes) node.standing = 'starting';
  cluster.get(0).standing = 'suspect';
  for (const path of ['/v1/chat/completions', '/v1/embeddings']) {
    const response = await post(path, { model: 'tiny', messages: [] });
    deepEqual([response.status, response.headers.get('retry-after')], [503, '5']);
  }
});

test('trace context goes along to the engine, a key does not', async () => {
  prefer(1);
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const headers = { 'content-type': 'application/json', traceparent, authorization: 'Bearer sk-secret' };
  await post('/v1/embeddings', { model: 'tiny', input: 'a' }, { headers });
  const [asked] = cluster.get(1).engine.asked;
  deepEqual([asked?.headers['traceparent'], asked?.headers['authorization']], [traceparent, undefined]);
});
