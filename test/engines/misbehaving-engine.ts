/**
 * An engine that can be told to misbehave:
 *
 *   node misbehaving-engine.ts --uds PATH [--deaf] [--orphans] [--tracker [--stuck]]
 *     [--exit CODE] [--models NAME] [--warm-up STATUS]
 *
 * Once it listens, `POST /behave {"metrics": …, "health": …}` changes it, `POST /exit {"code": N}` ends it, `POST /deafen`
 * closes its door and leaves it alive;
 * `GET /asked` and `GET /warmed-up-with` tell what it was asked.
 */
import { spawn } from 'node:child_process';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';

const { values: flags } = parseArgs({
  options: {
    uds: { type: 'string' },
    deaf: { type: 'boolean' },
    orphans: { type: 'boolean' },
    tracker: { type: 'boolean' },
    stuck: { type: 'boolean' },
    exit: { type: 'string' },
    models: { type: 'string', default: 'crooked' },
    'warm-up': { type: 'string', default: '200' },
  },
});

const page = (running: number, tokens: number): string =>
  [
    `vllm:num_requests_running{engine="0",model_name="crooked"} ${running}`,
    'vllm:num_requests_waiting{engine="0",model_name="crooked"} 0.0',
    'vllm:kv_cache_usage_perc{engine="0",model_name="crooked"} 0.25',
    `vllm:prompt_tokens_total{engine="0",model_name="crooked"} ${tokens}`,
    'vllm:generation_tokens_total{engine="0",model_name="crooked"} 5.0',
    '',
  ].join('\n');

/** `health`: null for no answer. */
let behaviour = { health: 200 as number | null, metrics: 'good', warmUp: Number(flags['warm-up']) };
let tokens = 0;
const asked: string[] = [];
let warmedUpWith = '';

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  const body = Buffer.concat(pieces).toString();
  asked.push(`${request.method} ${request.url}`);
  const path = request.url ?? '';
  switch (path) {
    case '/behave':
      behaviour = { ...behaviour, ...(JSON.parse(body) as Partial<typeof behaviour>) };
      return void response.end();
    case '/exit':
      console.log('(EngineCore pid=7) ERROR 11-21 08:22:34 [core.py:1] ValueError: told to exit');
      return process.exit((JSON.parse(body) as { code: number }).code);
    case '/deafen':
      setInterval(() => {}, 1_000);
      response.end();
      server.close();
      return server.closeAllConnections();
    case '/asked':
      return void response.end(JSON.stringify(asked));
    case '/health':
      return behaviour.health === null ? undefined : void response.writeHead(behaviour.health).end();
    case '/v1/models':
      return void response.end(JSON.stringify({ data: [{ id: flags.models, max_model_len: 2_048 }] }));
    case '/v1/completions':
      warmedUpWith ||= body;
      return void response.writeHead(behaviour.warmUp).end('{}');
    case '/warmed-up-with':
      return void response.end(warmedUpWith);
    case '/metrics':
      return metrics(response);
    default:
      return void response.writeHead(404).end();
  }
}

function metrics(response: ServerResponse): void {
  switch (behaviour.metrics) {
    case 'good':
      return void response.end(page(0, 0));
    case 'busy':
      return void response.end(page(2, ++tokens));
    case 'wedged':
      return void response.end(page(2, 0));
    case 'garbage':
      return void response.end('<html>vllm:num_requests_running 0</html>');
    case 'error':
      return void response.writeHead(500).end(page(0, 0));
    case 'cut':
      response.write(page(0, 0).slice(0, 100));
      return void setImmediate(() => response.destroy());
    case 'silence':
      return;
    default:
      throw new Error(`no such behaviour: ${behaviour.metrics}`);
  }
}

if (flags.deaf === true) process.on('SIGTERM', () => console.log('not listening to SIGTERM'));
if (flags.orphans === true) {
  const script = 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)';
  spawn(process.execPath, ['-e', script], { stdio: 'ignore' });
  spawn(process.execPath, ['-e', script], { stdio: 'ignore', detached: true });
  // As vLLM's engine core: nothing is left of its environment.
  spawn(process.execPath, ['-e', script], { stdio: 'inherit', env: {} });
}
if (flags.tracker === true) {
  // As Python's: it waits for the end of its pipe, which all others of the family hold, and then clears away.
  const left = join(dirname(flags.uds ?? ''), 'shared-memory');
  const wait =
    flags.stuck === true
      ? 'setInterval(() => {}, 1000)'
      : `process.stdin.on('end', () => fs.rmSync('${left}')).resume()`;
  const script = `const fs = require('fs'); fs.writeFileSync('${left}', ''); ${wait}`;
  const name = 'from multiprocessing.resource_tracker import main';
  spawn(process.execPath, ['-e', script, name], { stdio: ['pipe', 'ignore', 'ignore'] });
}
if (flags.exit !== undefined) process.exit(Number(flags.exit));
const server = createServer((request, response) => void answer(request, response));
if (flags.uds !== undefined) server.listen(flags.uds, () => console.log('listening'));
