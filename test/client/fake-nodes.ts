/** Nodes that share one answer, as far as a client can tell: HTTP servers that may be told how to fail. */
import { equal } from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** What one request meets. `after`: so many events come first. */
export type Mood =
  | { readonly type: 'well' }
  /** The connection breaks in the middle of an event. */
  | { readonly type: 'break'; readonly after: number }
  /** It ends in order, and too early. */
  | { readonly type: 'end'; readonly after: number }
  | { readonly type: 'farewell'; readonly after: number }
  /** Another connection has the answer. */
  | { readonly type: 'taken'; readonly after: number }
  | { readonly type: 'hang'; readonly after: number }
  /** It says that it works at the answer, and breaks. */
  | { readonly type: 'comment'; readonly after: number }
  /** It finds nobody who goes on with the answer. */
  | { readonly type: 'unplaced'; readonly after: number }
  /** The whole node says nothing any more, to anybody. */
  | { readonly type: 'freeze' }
  /** It waits in the node's queue until that was asked so often whether it is alive. */
  | { readonly type: 'queue'; readonly looks: number }
  | {
      readonly type: 'refuse';
      readonly status: number;
      readonly retryAfter?: number;
      readonly code?: string;
    };

export type Heard = {
  readonly node: number;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly bytes: Buffer;
  readonly body: string;
};

export type FakeNodes = {
  /** Base URLs, as OpenAI's clients want them. */
  readonly urls: readonly string[];
  readonly heard: readonly Heard[];
  /** Resolves when so many connections have ended before their answer did. */
  readonly left: () => number;
  close(): Promise<void>;
};

export const words = Array.from({ length: 12 }, (_, i) => `word${i}☕ `);
export const wholeText = words.join('');

const events: readonly string[] = [
  ...words.map((content, i) => {
    const choice = { index: 0, delta: { content }, finish_reason: i === words.length - 1 ? 'stop' : null };
    const chunk = { id: 'c1', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [choice] };
    return `id: s1.${i}.h${i}\ndata: ${JSON.stringify(chunk)}\n\n`;
  }),
  `id: s1.${words.length}.end\ndata: [DONE]\n\n`,
];
const lastWord = (code: string): string =>
  `data: ${JSON.stringify({ error: { message: 'gone', type: 'server_error', code } })}\n\ndata: [DONE]\n\n`;
const lastWords: Partial<Record<Mood['type'], string>> = {
  farewell: lastWord('node_leaving'),
  unplaced: lastWord('model_unavailable'),
  taken: lastWord('stream_taken'),
};

/** `moods`: what the first, second, … request meets, whatever node it goes to; after these all is well. */
export async function openNodes(count: number, moods: readonly Mood[] = [], ids = true): Promise<FakeNodes> {
  const heard: Heard[] = [];
  let left = 0;
  const frozen = new Set<number>();
  const looks = new EventEmitter();
  const servers = await Promise.all(Array.from({ length: count }, (_, node) => listen(node)));

  async function listen(node: number) {
    const server = createServer((request, response) => void answer(node, request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return server;
  }

  async function answer(node: number, request: IncomingMessage, response: ServerResponse): Promise<void> {
    // As a gateway does for pages of other origins.
    response.setHeader('access-control-allow-origin', '*');
    response.setHeader(
      'access-control-allow-headers',
      String(request.headers['access-control-request-headers'] ?? '*'),
    );
    if (request.method === 'OPTIONS') return void response.end();
    if (frozen.has(node)) return;
    if (request.url === '/healthz') return void (response.end('{}'), looks.emit('look'));
    const mood = moods[heard.length] ?? { type: 'well' };
    const { url = '', headers } = request;
    const seen = { node, url, headers, bytes: Buffer.alloc(0), body: '' };
    heard.push(seen);
    seen.bytes = await buffer(request);
    seen.body = seen.bytes.toString('utf8');
    response.on('close', () => (left += response.writableFinished ? 0 : 1));
    if (mood.type === 'freeze') return void frozen.add(node);
    if (mood.type === 'queue') for (let i = 0; i < mood.looks; i++) await once(looks, 'look');
    if (mood.type === 'refuse') return refuse(response, mood);
    if (!seen.body.includes('"stream":true')) return whole(response, mood);
    const last = headers['last-event-id'];
    const from = last === undefined ? 0 : Number(String(last).split('.')[1]) + 1;
    await stream(response, mood, events.slice(from));
  }

  async function stream(response: ServerResponse, mood: Mood, rest: readonly string[]): Promise<void> {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.flushHeaders();
    const sent = 'after' in mood ? rest.slice(0, mood.after) : rest;
    for (const event of sent) {
      response.write(ids ? event : event.replace(/^id: .*\n/, ''));
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (mood.type === 'hang') return;
    if (mood.type === 'break') {
      response.write('id: s1.99.half\ndata: {"cho');
      setImmediate(() => response.destroy());
      return;
    }
    if (mood.type === 'comment') response.write(':\n\n');
    response.end(lastWords[mood.type] ?? '');
  }

  return {
    urls: servers.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`),
    heard,
    left: () => left,
    close: async () => {
      for (const server of servers) {
        server.closeAllConnections();
        server.close();
        await once(server, 'close');
      }
    },
  };
}

function refuse(response: ServerResponse, mood: Extract<Mood, { type: 'refuse' }>): void {
  const { status, retryAfter, code = null } = mood;
  const headers = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) };
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ error: { message: `status ${status}`, type: 'server_error', code } }));
}

function whole(response: ServerResponse, mood: Mood): void {
  const body = JSON.stringify({ id: 'c1', choices: [{ message: { content: wholeText } }] });
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  if (mood.type === 'well' || mood.type === 'queue') return void response.end(body);
  response.write(body.slice(0, 20));
  setImmediate(() => response.destroy());
}

/** The text of a stream, which must have each event once and in order. */
export function textOf(stream: string): string {
  const lines = stream.split('\n').filter((line) => line.startsWith('data: '));
  equal(lines.pop(), 'data: [DONE]');
  const chunks = lines.map(
    (line) => JSON.parse(line.slice(6)) as { choices: [{ delta: { content: string } }] },
  );
  return chunks.map(({ choices }) => choices[0].delta.content).join('');
}
