/** `synkti/client` at a node that accepts and says nothing: frozen, or busy with others. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { durableFetch } from '../../src/client/index.ts';
import { openNodes, type FakeNodes } from './fake-nodes.ts';

const bounded = { timeout: 30_000 };
/** Long enough for a busy machine; its bounds for whole answers are minutes. */
const options = { lookMs: 1_000 };

let nodes: FakeNodes | null = null;
afterEach(() => nodes?.close());

const asks: Readonly<Record<string, RequestInit & { readonly path: string }>> = {
  'a stream': { path: '/chat/completions', method: 'POST', body: '{"stream":true}' },
  'a whole answer': { path: '/chat/completions', method: 'POST', body: '{}' },
  'the list of models': { path: '/models' },
};
for (const [what, { path, ...init }] of Object.entries(asks)) {
  test(`${what} is asked of another node when its own is frozen, soon and once`, bounded, async () => {
    nodes = await openNodes(2, [{ type: 'freeze' }]);
    const durable = durableFetch(nodes.urls, options);
    const response = await durable(`${nodes.urls[0]}${path}`, init);
    equal(response.status, 200);
    ok((await response.text()).length > 0);
    const [first, second, ...more] = nodes.heard;
    ok(first !== undefined && second !== undefined && first.node !== second.node);
    deepEqual(more, []);
    equal(second.headers['idempotency-key'], first.headers['idempotency-key']);
  });

  test(`${what} that takes its time is waited for where the node is alive`, bounded, async () => {
    nodes = await openNodes(2, [{ type: 'queue', looks: 2 }]);
    const durable = durableFetch(nodes.urls, options);
    equal((await durable(`${nodes.urls[0]}${path}`, init)).status, 200);
    equal(nodes.heard.length, 1);
  });
}

test('a node that makes again what has arrived may take longer than one that begins', bounded, async () => {
  nodes = await openNodes(3, [
    { type: 'break', after: 3 },
    { type: 'queue', looks: 2 },
  ]);
  const durable = durableFetch(nodes.urls, { ...options, headMs: 1_500 });
  const body = '{"stream":true}';
  const response = await durable(`${nodes.urls[0]}/chat/completions`, { method: 'POST', body });
  ok((await response.text()).endsWith('data: [DONE]\n\n'));
  equal(nodes.heard.length, 2);
});

test('a node that has nothing to say but comments is alive, and is not left', bounded, async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let asked = 0;
  let tell!: ReadableStreamDefaultController<Uint8Array>;
  const say = (text: string): void => tell.enqueue(new TextEncoder().encode(text));
  const durable = durableFetch(['http://one.test/v1', 'http://two.test/v1'], {
    fetch: () => {
      asked += 1;
      const body = new ReadableStream<Uint8Array>({ start: (controller) => void (tell = controller) });
      return Promise.resolve(new Response(body, { headers: { 'content-type': 'text/event-stream' } }));
    },
  });
  const init = { method: 'POST', body: '{"stream":true}' };
  const response = await durable('http://one.test/v1/chat/completions', init);
  const reader = response.body!.getReader();
  const next = async (said: string): Promise<void> => {
    const heard = reader.read();
    say(said);
    equal(new TextDecoder().decode((await heard).value), said);
  };
  await next('id: s.1.a\ndata: {}\n\n');
  for (let i = 0; i < 6; i++) {
    const heard = reader.read();
    t.mock.timers.tick(10_000);
    say(':\n\n');
    equal(new TextDecoder().decode((await heard).value), ':\n\n');
  }
  await next('id: s.1.b\ndata: [DONE]\n\n');
  equal(asked, 1);
});
