/** Starts that cannot succeed: the exit code and the line that a person should see. */
import { rename } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { EngineProcess, type Target } from './engine-process.ts';
import type { Json } from './shape.ts';
import { until } from './until.ts';

export type FailedStart = {
  readonly name: string;
  readonly flags: readonly string[];
  readonly complaint: RegExp;
  readonly model?: string;
  /** Something that stands in the way. */
  readonly obstacle?: 'stale socket file' | 'port taken';
};

export const failedStarts: readonly FailedStart[] = [
  {
    name: 'start-unknown-flag',
    flags: ['--no-such-flag'],
    complaint: /error: unrecognized arguments: --no-such-flag/,
  },
  {
    name: 'start-bad-value',
    flags: ['--dtype=bfloat99'],
    complaint: /error: argument --dtype: invalid choice: 'bfloat99'/,
  },
  {
    name: 'start-context-too-long',
    flags: ['--max-model-len=999999'],
    complaint: /User-specified max_model_len \(999999\) is greater than the derived max_model_len/,
  },
  { name: 'start-port-taken', flags: [], complaint: /address already in use/i, obstacle: 'port taken' },
  {
    name: 'start-stale-socket-file',
    flags: [],
    complaint: /address already in use/i,
    obstacle: 'stale socket file',
  },
  {
    name: 'start-without-model',
    flags: [],
    model: '/nowhere/model',
    complaint: /huggingface_hub\.errors\.\w+Error/,
  },
];

export async function observeStart(target: Target, start: FailedStart): Promise<Json> {
  const taken = createServer();
  if (start.obstacle === 'port taken') {
    taken.listen(0, '127.0.0.1');
    await once(taken, 'listening');
  }
  const { port } = (taken.address() ?? { port: 0 }) as AddressInfo;
  const engine = await EngineProcess.launch(target, start.flags, {
    ...(port === 0 ? {} : { address: ['--host=127.0.0.1', `--port=${port}`] }),
    ...(start.obstacle === 'stale socket file' ? { beforehand: leaveSocketFile } : {}),
    ...(start.model === undefined ? {} : { model: start.model }),
  });
  try {
    const exit = await engine.exit(target.readyMs);
    const gone = await until(async () => (await engine.members()).length === 0, 10_000);
    return {
      exit: exit === null ? 'still there' : exit.code,
      saysWhy: start.complaint.test(engine.log),
      processesGone: gone,
    };
  } finally {
    await engine.end();
    taken.close();
  }
}

/** What a SIGKILLed engine leaves: closing the server would remove the file, did it still have its name. */
async function leaveSocketFile(path: string): Promise<void> {
  const server = createServer();
  server.listen(`${path}.new`);
  await once(server, 'listening');
  await rename(`${path}.new`, path);
  server.close();
  await once(server, 'close');
}
