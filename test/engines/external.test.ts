import { deepEqual, equal } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, test } from 'node:test';
import { openExternalEngine } from '../../src/engines/external.ts';
import { Daemon, hurried, until } from './bench.ts';

let daemon: Daemon | null = null;
let server: Server | null = null;
afterEach(async () => {
  await daemon?.crash();
  server?.closeAllConnections();
  server?.close();
});

const page = [
  'vllm:num_requests_running{model_name="theirs"} 1',
  'vllm:num_requests_waiting{model_name="theirs"} 0',
  'vllm:prompt_tokens_total{model_name="theirs"} 1',
].join('\n');

/** Somebody's engine; it counts on while it is asked, so it is never wedged. */
async function serve(port = 0): Promise<number> {
  let tokens = 0;
  server = createServer((request, response) => {
    if (request.url === '/v1/models') return response.end('{"data":[{"id":"theirs"}]}');
    return response.end(`${page}\nvllm:generation_tokens_total{model_name="theirs"} ${tokens++}\n`);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

test("somebody else's engine is looked at, and looked for again when it has gone, and never ended", async () => {
  const port = await serve();
  daemon = new Daemon(openExternalEngine(`http://127.0.0.1:${port}/`), hurried);
  await daemon.ready();
  deepEqual([daemon.status().models, daemon.status().maxModelLen], [['theirs'], null]);
  await until(
    () => daemon!.status().load?.running === 1,
    () => 'its load is known',
  );
  equal((await daemon.ask('/v1/models')).status, 200);

  server!.closeAllConnections();
  server!.close();
  await until(
    () => daemon!.status().phase !== 'ready',
    () => 'its end is noticed',
  );
  await serve(port);
  await until(
    () => daemon!.status().phase === 'ready',
    () => 'it is found again',
  );

  await daemon.stop(1_000);
  equal(server!.listening, true);
});

test('where nobody listens the node says that its engine is not ready, and goes on looking', async () => {
  const port = await serve();
  server!.close();
  daemon = new Daemon(openExternalEngine(`http://127.0.0.1:${port}`), { ...hurried, readyMs: 100 });
  daemon.tell({ type: 'start' });
  await until(
    () => daemon!.facts('engine.exhausted').length > 0,
    () => daemon!.phase,
  );
  await serve(port);
  await until(
    () => daemon!.phase === 'ready',
    () => daemon!.phase,
  );
});
