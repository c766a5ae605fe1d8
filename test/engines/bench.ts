/** A node's engine with nothing simulated but the node: the supervision, the drive, a host, and real processes. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as wait } from 'node:timers/promises';
import type { EngineFact } from '../../src/engine/facts.ts';
import type { Effect, Event } from '../../src/engine/orders.ts';
import { type Config, defaults, type State, status } from '../../src/engine/stage.ts';
import { init, supervision } from '../../src/engine/supervision.ts';
import { type EngineHost, openEngineHost, type Processes } from '../../src/engines/host.ts';
import { type EngineSpec, engineSocket } from '../../src/engines/spec.ts';
import { drive, type Driven } from '../../src/node/drive.ts';
import type { Report } from '../../src/node/facts.ts';
import { systemClock } from '../../src/os/clock.ts';
import { processes } from '../../src/os/processes.ts';

/** As in production, but in a hurry. */
export const hurried: Config = {
  ...defaults,
  readyMs: 20_000,
  probeMs: 20,
  sampleMs: 20,
  answerMs: 8_000,
  // A busy machine gives an engine no turn for a second, and its node many.
  wedgedMs: 2_000,
  backoffBaseMs: 10,
  slowMs: 200,
};

/** Longer than anything here takes on a busy machine. */
const patienceMs = 60_000;

export const crooked = fileURLToPath(new URL('misbehaving-engine.ts', import.meta.url));

/** One data directory and one node id; several lives of a daemon may come and go in it. */
export class Bench {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'synkti-engine-'));
  readonly nodeId = `i-${randomUUID().slice(0, 8)}`;
  readonly socket = engineSocket(this.dataDir);
  readonly #daemons: Daemon[] = [];
  readonly #hosts: EngineHost[] = [];

  spec(...flags: readonly string[]): EngineSpec {
    const args = [crooked, `--uds=${this.socket}`, ...flags];
    return {
      command: process.execPath,
      args,
      env: {},
      socket: this.socket,
      scratch: null,
      warmUp: true,
      repeatable: false,
    };
  }

  daemon(spec: EngineSpec, config: Partial<Config> = {}): Daemon {
    const daemon = new Daemon(this.host(spec), { ...hurried, ...config });
    this.#daemons.push(daemon);
    return daemon;
  }

  /** Obeys a test alone. `system`: what of the operating system is otherwise than it is. */
  host(spec: EngineSpec, system: Partial<Processes> = {}, report: Report = () => {}): EngineHost {
    const { nodeId, dataDir } = this;
    const inherited = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' };
    const host = openEngineHost({
      ...{ spec, nodeId, dataDir, inherited, report },
      processes: { ...processes, ...system },
    });
    this.#hosts.push(host);
    return host;
  }

  /** What still lives of this node's engines. */
  processes(): Promise<readonly { readonly pid: number; readonly start: string }[]> {
    const environment = { SYNKTI_ENGINE_ID: this.nodeId };
    return processes.marked({ environment, output: join(this.dataDir, 'engine.log') });
  }

  output(): string {
    return readFileSync(join(this.dataDir, 'engine.log'), 'utf8');
  }

  async clear(): Promise<void> {
    await Promise.all(this.#daemons.map((daemon) => daemon.crash()));
    await Promise.all(this.#hosts.map((host) => host.release()));
    for (const { pid } of await this.processes()) process.kill(pid, 'SIGKILL');
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}

export class Daemon {
  readonly effects: Effect[] = [];
  readonly host: EngineHost;
  readonly #driven: Driven<State, Event>;

  constructor(host: EngineHost, config: Config = hurried) {
    this.host = host;
    this.#driven = drive(supervision, init(config, { seed: 1 }), systemClock, (effect) =>
      this.#perform(effect),
    );
  }

  #perform(effect: Effect): void {
    this.effects.push(effect);
    if ('life' in effect) this.host.perform(effect, (event) => this.#driven.deliver(event));
    else if (effect.type === 'cut') this.#driven.deliver({ type: 'streams.cut' });
  }

  tell(event: Event): void {
    this.#driven.deliver(event);
  }

  status(): ReturnType<typeof status> {
    return status(this.#driven.state());
  }

  get phase(): State['stage']['phase'] {
    return this.#driven.state().stage.phase;
  }

  /** The daemon is gone as after a crash: nothing is told to the engine. */
  async crash(): Promise<void> {
    this.#driven.stop();
    await this.host.release();
  }

  facts<F extends EngineFact['fact']>(name: F): Extract<EngineFact, { fact: F }>[] {
    return this.effects.flatMap((effect) =>
      effect.type === 'fact' && effect.fact.fact === name
        ? [effect.fact as Extract<EngineFact, { fact: F }>]
        : [],
    );
  }

  async ready(): Promise<this> {
    this.tell({ type: 'start' });
    await until(
      () => this.phase === 'ready',
      () => `engine is ${this.phase}: ${JSON.stringify(this.effects.slice(-6))}`,
    );
    return this;
  }

  async stop(withinMs: number): Promise<number> {
    const from = performance.now();
    this.tell({ type: 'stop', withinMs, graceful: true });
    await until(
      () => this.effects.some((effect) => effect.type === 'stopped'),
      () => `engine is ${this.phase}`,
    );
    return performance.now() - from;
  }

  /** The status of the engine's own answer. */
  async ask(path: string, body?: object): Promise<{ readonly status: number; readonly text: string }> {
    const { dispatcher, origin } = this.host;
    const response = await dispatcher.request({
      origin,
      path,
      method: body === undefined ? 'GET' : 'POST',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.statusCode, text: await response.body.text() };
  }
}

export async function until(holds: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  const end = performance.now() + patienceMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${patienceMs} ms: ${what()}`);
    await wait(5);
  }
}
