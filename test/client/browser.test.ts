/** `synkti/client` under the official client in a real browser, on a page of another origin than the nodes'. */
import { deepEqual } from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { build } from 'esbuild';
import { openNodes, wholeText } from './fake-nodes.ts';

const root = join(import.meta.dirname, '../..');
/** What is called chromium may be a stand-in that only says how to install it. */
const browser = ['chromium', 'chromium-browser', 'google-chrome'].find(
  (name) => spawnSync(name, ['--version'], { stdio: 'ignore', timeout: 60_000 }).status === 0,
);
const bounded = {
  timeout: 180_000,
  skip: browser === undefined ? 'no chromium that runs on this machine' : false,
};

/** Tells whoever served the page what came of it. */
const page = (urls: readonly string[]): string => `
import OpenAI from 'openai';
import { durableFetch } from './src/client/index.ts';

const urls = ${JSON.stringify(urls)};
async function ask() {
  let resumed = 0;
  const fetch = durableFetch(urls, { onResume: () => resumed++ });
  const client = new OpenAI({ baseURL: urls[0], apiKey: 'none', maxRetries: 0, fetch, dangerouslyAllowBrowser: true });
  const messages = [{ role: 'user', content: 'hello' }];
  const stream = await client.chat.completions.create({ model: 'm', messages, stream: true });
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
  const whole = await client.chat.completions.create({ model: 'm', messages });
  return { text, whole: whole.choices[0].message.content, resumed };
}
const found = await ask().catch((error) => ({ error: String(error) }));
await fetch('/found', { method: 'POST', body: JSON.stringify(found) });
`;

test('a stream in a browser goes on at another node when its node goes', bounded, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-browser-'));
  const nodes = await openNodes(3, [
    { type: 'end', after: 4 },
    { type: 'farewell', after: 3 },
  ]);
  const stdin = { contents: page(nodes.urls), resolveDir: root, loader: 'ts' as const };
  const bundled = await build({ stdin, bundle: true, format: 'esm', platform: 'browser', write: false });
  const found = Promise.withResolvers<unknown>();
  const server = createServer((request, response) => {
    if (request.url === '/found') void text(request).then((body) => found.resolve(JSON.parse(body)));
    const isScript = request.url === '/page.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? bundled.outputFiles[0]!.text : '<script type="module" src="/page.js"></script>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const flags = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--no-first-run',
  ];
  const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const running = spawn(browser!, [...flags, `--user-data-dir=${dir}`, at], {
    stdio: 'ignore',
    detached: true,
  });
  const gone = once(running, 'exit');
  try {
    deepEqual(await Promise.race([found.promise, gone]), { text: wholeText, whole: wholeText, resumed: 2 });
  } finally {
    // It leads a process group of its own, with its renderers in it.
    if (running.exitCode === null) process.kill(-running.pid!, 'SIGKILL');
    await gone;
    server.closeAllConnections();
    server.close();
    await nodes.close();
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  }
});
