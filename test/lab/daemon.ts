/**
 * One `synkti run` of a trial. It keeps its place in the network, its directory and its identity over restarts, as an
 * instance does; its lines go to the witness as they are written.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { instanceEnvironment } from '../../src/cli/dev/environment.ts';
import type { Launch } from '../../src/localcloud/instances/hosts.ts';
import type { Program } from './program.ts';
import type { Witness } from './witness.ts';

export type Place = {
  /** Words before the program's own that put it into its network namespace. */
  readonly inside: readonly string[];
  /** Where the other nodes reach it. */
  readonly peerHost: string;
  /** Where its API listens and where this process reaches it. */
  readonly apiHost: string;
};

type DaemonOptions = {
  readonly dir: string;
  readonly instance: Launch;
  readonly place: Place;
  readonly flags: readonly string[];
  readonly program: Program;
  readonly witness: Witness;
  /** null: its lines are not kept. */
  readonly logs: string | null;
};

export class Daemon {
  readonly index: number;
  readonly id: string;
  readonly instance: Launch;
  readonly api: string;
  readonly dataDir: string;
  readonly control: string;
  readonly peerHost: string;
  readonly #options: DaemonOptions;
  #process: ChildProcess | null = null;
  #ended: Promise<void> = Promise.resolve();

  constructor(options: DaemonOptions) {
    const { dir, instance, place } = options;
    this.#options = options;
    this.index = instance.index;
    this.id = instance.id;
    this.instance = instance;
    this.api = `http://${place.apiHost}:8000`;
    this.peerHost = place.peerHost;
    this.dataDir = join(dir, `node-${instance.index}`);
    this.control = join(this.dataDir, 'control.sock');
  }

  /** 0: it does not run. */
  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  get node(): number {
    return this.index;
  }

  /** Resolves when the process runs. */
  async start(): Promise<void> {
    const { dir, instance, place, flags, program, witness } = this.#options;
    await mkdir(join(this.dataDir, 'tmp'), { recursive: true, mode: 0o700 });
    // Named here and not in the instance's tags, which a daemon that leaves takes away.
    const hosts = ['--cluster', 'lab', '--host', place.peerHost, '--api-host', place.apiHost];
    const { command, args } = program([
      ...[
        'run',
        '--data-dir',
        this.dataDir,
        '--log-format',
        'json',
        '--p2p-port',
        '4001',
        '--peer-port',
        '4002',
      ],
      ...hosts,
      ...flags,
    ]);
    const [first = '', ...rest] = [...place.inside, command, ...args];
    witness.begin(this.index);
    const child = spawn(first, rest, {
      // A group of its own: a Ctrl-C at the terminal is for the trial, which then ends it.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...instanceEnvironment(process.env, instance, dir), TMPDIR: join(this.dataDir, 'tmp') },
    });
    this.#process = child;
    for (const output of [child.stdout, child.stderr])
      createInterface({ input: output }).on('line', (line) => this.#onLine(line));
    this.#ended = new Promise((resolve) => child.once('exit', () => resolve(this.#onExit(child))));
    await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  }

  /** To the daemon alone; its engine, where it has one, is a process group of its own. */
  signal(name: NodeJS.Signals): void {
    this.#process?.kill(name);
  }

  /** Resolves when it has ended, by whatever cause. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.#ended;
  }

  #onLine(line: string): void {
    const { logs, witness } = this.#options;
    if (logs !== null) appendFileSync(join(logs, `node-${this.index}.log`), `${line}\n`);
    witness.hear(this.index, line);
  }

  #onExit(child: ChildProcess): void {
    if (this.#process === child) this.#process = null;
  }
}
