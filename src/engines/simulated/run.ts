/**
 * The simulated engine: a child process that behaves like `vllm serve` in all that a supervisor and a gateway can see,
 * down to what goes wrong. Nothing is computed but a function of ids, so three of them fit beside everything else on
 * two cores, and every token of every stream can be checked.
 *
 *   API server (this process) -- IPC --> VLLM::EngineCore (a child in the same process group)
 *
 *   starting -> serving -> draining -> stopping -> exit 0         SIGTERM, with and without time to drain
 *                  \-> dead -> stopping -> exit 0                 the EngineCore went: exit code 0 is no success
 *
 * As with the real one: a SIGTERM while the core starts is lost; one that leaves no time silences open streams for
 * ever and waits for their clients to leave; further signals change nothing; a SIGKILL leaves the core as an orphan.
 */
import { existsSync } from 'node:fs';
import type { CoreSettings } from './core-messages.ts';
import type { Command } from './engine.ts';
import { contextTokensMax, readFlags, type EngineSettings } from './flags.ts';
import { StartRefused } from './start-refused.ts';

export type EngineIo = {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly out: { write(text: string): unknown };
  readonly err: { write(text: string): unknown };
  /** While somebody listens, a signal does not end the process. */
  readonly onSignal: (listener: (signal: string) => void) => unknown;
  /** How to start this executable again with other arguments: with its script from source, alone when it is one file. */
  readonly respawn: (args: readonly string[]) => Command;
};

/** Resolves with the exit code: 0 for every end after it served, 1 for a failed start, 2 for a wrong command line. */
export async function runSimulatedEngine(argv: readonly string[], io: EngineIo): Promise<number> {
  outliveReaders();
  // Each process loads only what it is: the core is the smaller of the two.
  if (argv[0] === 'engine-core') {
    const { runEngineCore } = await import('./core.ts');
    return runEngineCore(JSON.parse(argv[1] ?? '{}') as CoreSettings);
  }
  try {
    const settings = readFlags(argv, io.env);
    verifyStart(settings, io.env);
    const { serve } = await import('./api-server.ts');
    return await serve(settings, io);
  } catch (error) {
    if (!(error instanceof StartRefused)) throw error;
    io.err.write(`${error.message}\n`);
    return error.exitCode;
  }
}

/** The engine outlives whoever reads its log: a broken pipe is no reason to die. */
function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
}

/** What would stop a real engine a minute later stops this one now, with the last line of the same log. */
function verifyStart({ model, contextTokens }: EngineSettings, env: EngineIo['env']): void {
  if (/^[./]/.test(model) && !existsSync(model)) {
    const cause =
      'Cannot find an appropriate cached snapshot folder for the specified revision on the local disk';
    throw new StartRefused(1, `huggingface_hub.errors.LocalEntryNotFoundError: ${cause}: ${model}`);
  }
  if (contextTokens > contextTokensMax) {
    const cause =
      `Value error, User-specified max_model_len (${contextTokens}) is greater than the derived max_model_len ` +
      `(max_position_embeddings=${contextTokensMax}.0 or model_max_length=None in model's config.json).`;
    throw new StartRefused(
      1,
      `pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n${cause}`,
    );
  }
  if (env['VLLM_CPU_KVCACHE_SPACE'] === '0')
    throw new StartRefused(1, 'ValueError: No available memory for the cache blocks.');
}
