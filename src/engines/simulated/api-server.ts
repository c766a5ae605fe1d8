/** The API server's life: from the address it takes to the exit code it leaves. */
import type { Server } from 'node:http';
import { contractVersion, type Phase } from './api.ts';
import type { CoreSettings } from './core-messages.ts';
import { coreCommand, Engine } from './engine.ts';
import type { EngineSettings } from './flags.ts';
import { listen, reserve } from './listening.ts';
import { Metrics } from './metrics.ts';
import type { EngineIo } from './run.ts';
import { makeServer } from './server.ts';
import { StartRefused } from './start-refused.ts';

/** How long `/health` says 503 once the engine is dead, ms: seen on the real one between 50 and 3,000. */
const deadMs = 300;

export async function serve(settings: EngineSettings, io: EngineIo): Promise<number> {
  const log = (line: string): void => void io.out.write(`(APIServer pid=${process.pid}) INFO ${line}\n`);
  log(`version ${contractVersion} (simulated), model ${settings.model}`);
  const reservation = await reserve(settings.listen).catch(refuseStart);
  // From here on a signal is ours; until the server serves it is lost, as with the real one.
  let life: Life | null = null;
  io.onSignal((signal) => life?.onSignal(signal));
  const metrics = new Metrics(settings.servedNames[0]!);
  const command = coreCommand(coreSettingsOf(settings), io.respawn);
  const engine = new Engine({ ...settings, command, env: io.env }, metrics);
  if (!(await engine.ready)) throw new StartRefused(1, coreFailed);
  const serving = new Life(settings, engine, log);
  const server = makeServer({ settings, engine, metrics, phase: () => serving.phase });
  try {
    log(`Starting vLLM server on ${await listen(server, reservation)}`);
  } catch (error) {
    engine.kill();
    refuseStart(error);
  }
  log('Application startup complete.');
  life = serving;
  return serving.live(server);
}

const coreFailed =
  'RuntimeError: Engine core initialization failed. See root cause above. ' +
  "Failed core proc(s): {'EngineCore': 1}";

function refuseStart(error: unknown): never {
  const { code, message } = error as NodeJS.ErrnoException;
  const what = code === 'EADDRINUSE' ? '[Errno 98] Address already in use' : message;
  throw new StartRefused(1, `OSError: ${what}`);
}

const coreSettingsOf = (settings: EngineSettings): CoreSettings => ({
  tokenMs: settings.tokenMs,
  startMs: settings.startMs,
  ttftMs: settings.ttftMs,
  prefillUsPerToken: settings.prefillUsPerToken,
  runningMax: settings.runningMax,
  source: settings.source,
});

/** Where the server is in its life, and what ends it. */
class Life {
  readonly #settings: EngineSettings;
  readonly #engine: Engine;
  readonly #log: (line: string) => void;
  readonly #over = Promise.withResolvers<number>();
  #server: Server | null = null;
  #deadline: NodeJS.Timeout | null = null;
  phase: Phase = 'serving';

  constructor(settings: EngineSettings, engine: Engine, log: (line: string) => void) {
    this.#settings = settings;
    this.#engine = engine;
    this.#log = log;
  }

  live(server: Server): Promise<number> {
    this.#server = server;
    void this.#engine.gone.then(() => this.#onCoreGone());
    return this.#over.promise;
  }

  onSignal(signal: string): void {
    if (signal === 'SIGHUP' || this.phase !== 'serving') return;
    this.#log('[shutdown] API server: shutdown triggered');
    const { shutdownMs } = this.#settings;
    if (shutdownMs === 0) return this.#cutOff();
    this.phase = 'draining';
    this.#engine.drain();
    this.#deadline = setTimeout(() => this.#cutOff(), shutdownMs);
  }

  /** The engine goes at once and its streams are told nothing, neither now nor later. */
  #cutOff(): void {
    this.phase = 'stopping';
    this.#stopListening();
    this.#engine.kill();
  }

  #onCoreGone(): void {
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    if (this.phase === 'stopping') return this.#answerWhole();
    const wasDraining = this.phase === 'draining';
    if (!wasDraining || this.#engine.isBusy) this.#log('AsyncLLM output_handler failed: EngineDeadError');
    this.phase = wasDraining ? 'stopping' : 'dead';
    this.#engine.failAll();
    if (wasDraining) this.#stopListening();
    else setTimeout(() => this.#stopListening(), deadMs);
  }

  /** Whole answers wait until the streams beside them are given up; then they get what there is of them. */
  #answerWhole(): void {
    if (this.#engine.hasOpenStream) this.#engine.onceStreamless(() => this.#engine.abandonWhole());
    else this.#engine.abandonWhole();
  }

  #stopListening(): void {
    this.#log('Shutting down. Waiting for connections to close.');
    this.#server?.close(() => this.#over.resolve(0));
    this.#server?.closeIdleConnections();
  }
}
