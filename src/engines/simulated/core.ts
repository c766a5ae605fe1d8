/**
 * The EngineCore process: the scheduler on a clock. One timer drives the whole batch and one message a step carries
 * all its tokens, so that hundreds of streams cost a few percent of a core.
 *
 * Its life is not tied to the API server's: when that is killed, this process stays, as vLLM's does, holding its
 * memory and computing for nobody, until somebody sends it a SIGTERM.
 */
import type { CoreNews, CoreOrder, CoreSettings, PauseMode } from './core-messages.ts';
import { Scheduler, type Report } from './scheduler.ts';

/** What `ps` shows, and what a supervisor looks for after a crash. */
const processTitle = 'VLLM::EngineCore';
/** Nothing is due this often: it only keeps an orphan's event loop alive. */
const orphanIdleMs = 60_000;

export async function runEngineCore(settings: CoreSettings): Promise<number> {
  process.title = processTitle;
  const core = new EngineCore(settings);
  const done = Promise.withResolvers<number>();
  process.on('message', (order: CoreOrder) => core.obey(order));
  process.on('disconnect', () => core.orphan());
  core.drained = () => done.resolve(0);
  await new Promise((resolve) => setTimeout(resolve, settings.startMs));
  core.begin();
  return done.promise;
}

class EngineCore {
  readonly #scheduler: Scheduler;
  readonly #tokenMs: number;
  #cancelStep: (() => void) | null = null;
  /** When the current step ends, ms of the process' clock. */
  #dueMs = 0;
  #pause: PauseMode | null = null;
  #draining = false;
  #over = false;
  /** Called once, when the last sequence of a drain has ended and the API server knows. */
  drained = (): void => {};

  constructor(settings: CoreSettings) {
    this.#scheduler = new Scheduler(settings);
    this.#tokenMs = settings.tokenMs;
  }

  begin(): void {
    tell({ type: 'ready' });
  }

  orphan(): void {
    if (!this.#over) setInterval(() => {}, orphanIdleMs);
  }

  obey(order: CoreOrder): void {
    switch (order.type) {
      case 'add':
        for (const sequence of order.sequences) this.#scheduler.add(sequence);
        if (this.#draining) this.#report(this.#abortWaiting(order.sequences.map(({ id }) => id)));
        break;
      case 'abort':
        this.#scheduler.abort(new Set(order.ids));
        // Told at once: an idle engine takes no step that would tell it.
        if (this.#pause === null) this.#report(emptyReport(this.#scheduler));
        break;
      case 'pause':
        this.#pauseFor(order.mode);
        break;
      case 'resume':
        this.#pause = null;
        this.#scheduler.admit(true);
        break;
      case 'drain':
        this.#draining = true;
        break;
    }
    this.#settle();
  }

  #abortWaiting(ids: readonly number[]): Report {
    this.#scheduler.abort(new Set(ids));
    return { ...emptyReport(this.#scheduler), finished: ids.map((id) => [id, 'abort', null]) };
  }

  #pauseFor(mode: PauseMode): void {
    this.#pause = mode;
    this.#scheduler.admit(false);
    if (mode === 'abort') this.#report(this.#scheduler.abortAll());
    if (mode !== 'wait' || !this.#scheduler.hasRunning) tell({ type: 'paused' });
  }

  /** Sees to it that a step is due exactly when there is something to compute. */
  #settle(): void {
    if (this.#over) return;
    if (this.#draining && this.#scheduler.isIdle) return this.#end();
    const frozen = this.#pause === 'keep' || this.#pause === 'abort';
    const working = this.#pause === null ? !this.#scheduler.isIdle : this.#scheduler.hasRunning;
    if (frozen || !working) {
      this.#cancelStep?.();
      this.#cancelStep = null;
    } else if (this.#cancelStep === null) {
      this.#arm(performance.now() + this.#tokenMs);
    }
  }

  #end(): void {
    this.#over = true;
    this.#cancelStep?.();
    tell({ type: 'report', report: emptyReport(this.#scheduler) }, () => {
      if (process.connected) process.disconnect();
      this.drained();
    });
  }

  /** A step that comes late is not made up for: the engine is slower then, as a real one on a busy machine. */
  #arm(dueMs: number): void {
    const nowMs = performance.now();
    this.#dueMs = Math.max(dueMs, nowMs);
    if (this.#tokenMs === 0) {
      const immediate = setImmediate(() => this.#step());
      this.#cancelStep = () => clearImmediate(immediate);
    } else {
      const timer = setTimeout(() => this.#step(), this.#dueMs - nowMs);
      this.#cancelStep = () => clearTimeout(timer);
    }
  }

  #step(): void {
    const report = this.#scheduler.step(this.#dueMs);
    const news = report.tokens.length + report.admitted.length + report.finished.length > 0;
    if (news) this.#report(report);
    if (this.#pause === 'wait' && !this.#scheduler.hasRunning) tell({ type: 'paused' });
    this.#arm(this.#dueMs + this.#tokenMs);
    this.#settle();
  }

  #report(report: Report): void {
    tell({ type: 'report', report });
  }
}

const emptyReport = (scheduler: Scheduler): Report => ({
  tokens: [],
  admitted: [],
  finished: [],
  load: scheduler.load(),
});

/** An orphan has nobody to tell; its channel is closed and what it computes is lost, as it should be. */
function tell(news: CoreNews, told: () => void = () => {}): void {
  if (process.connected) process.send?.(news, undefined, undefined, told);
  else told();
}
