/**
 * A stand-in for `synkti run`: answers /readyz, /metrics and its control socket, has a child that outlives it like an
 * engine, and leaves on SIGTERM. What it was started with it says in its log. `--crash` ends it at once.
 */
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { openControl } from '../../src/control/server.ts';
import { fakeNode } from '../control/operations.ts';

const { values } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: { 'api-port': { type: 'string' }, 'data-dir': { type: 'string' }, crash: { type: 'boolean' } },
});
const id = process.env['SYNKTI_INSTANCE_ID'] ?? '';
const tell = (said: object): void => void process.stdout.write(`${JSON.stringify(said)}\n`);

if (values['crash'] === true) {
  process.stderr.write('synkti: no credentials\n');
  process.exit(1);
}
spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' }).unref();
await openControl({
  dataDir: String(values['data-dir']),
  operations: fakeNode({ id }),
  drainMs: 1_000,
  isolate: (on) => tell({ level: 'info', fact: 'isolated', on }),
});
const api = createServer((request, response) => {
  response.end(request.url === '/metrics' ? 'synkti_generated_tokens_total 12\n' : 'ok');
});
api.listen(Number(values['api-port']), '127.0.0.1', () =>
  tell({
    level: 'info',
    time: Date.now(),
    fact: 'node.started',
    args: process.argv.slice(2),
    env: Object.keys(process.env).filter((name) => /^(AWS|SYNKTI)_/.test(name)),
  }),
);
process.on('SIGTERM', () => process.exit(0));
