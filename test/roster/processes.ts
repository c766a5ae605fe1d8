/** Real `synkti run` processes on machines without a cloud: all on this one, each with ports of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from '../../src/cli/dev/ports.ts';
import { loadIdentity } from '../../src/mtls/identity.ts';

const main = join(import.meta.dirname, '../../src/main.ts');

/** A start from the sources is more than two seconds of CPU, of which a busy machine gives a process a tenth and less. */
export const startMs = 120_000;
const factMs = 60_000;

type Fact = { readonly fact: string; readonly [field: string]: unknown };

type Variables = Readonly<Record<string, string>>;

export type Machine = {
  readonly name: string;
  readonly peerId: string;
  readonly p2pPort: number;
  readonly dataDir: string;
};

export async function makeMachine(name: string): Promise<Machine> {
  const dataDir = await mkdtemp(join(tmpdir(), 'synkti-listed-'));
  const { peerId } = await loadIdentity(dataDir);
  return { name, peerId, dataDir, p2pPort: await freePort() };
}

/** As `--peers` has it. */
export const listingOf = ({ name, peerId, p2pPort }: Machine): string =>
  `${name}=${peerId}@127.0.0.1:${p2pPort}`;

/** A node under way: what it has told so far, and its end. */
export class RunningNode {
  readonly facts: Fact[] = [];
  /** Of its API. */
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #dataDir: string;
  #stderr = '';
  #ended = false;
  #wake = (): void => {};

  private constructor(
    child: ChildProcess,
    { dataDir, url }: { readonly dataDir: string; readonly url: string },
  ) {
    this.#child = child;
    this.#dataDir = dataDir;
    this.url = url;
  }

  static start(machine: Machine, args: readonly string[], env: Variables = {}): Promise<RunningNode> {
    return RunningNode.#spawn(machine, ['--node-id', machine.name, ...args], env);
  }

  /** As on an instance: whoever is there is told by a metadata service, and by EC2. */
  static startUnlisted(machine: Machine, imdsEndpoint: string): Promise<RunningNode> {
    return RunningNode.#spawn(machine, ['--role', 'edge', '--imds-endpoint', imdsEndpoint]);
  }

  static async #spawn(
    { p2pPort, dataDir }: Machine,
    args: readonly string[],
    more: Variables = {},
  ): Promise<RunningNode> {
    const apiPort = await freePort();
    const ports = ['--p2p-port', `${p2pPort}`, '--api-port', `${apiPort}`];
    const own = ['--host', '127.0.0.1', '--data-dir', dataDir, '--log-level', 'debug'];
    const rest = ['--peer-port', `${await freePort()}`, '--api-host', '127.0.0.1', '--log-format', 'json'];
    const child = spawn(process.execPath, [main, 'run', ...own, ...ports, ...rest, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      // Whoever asks a metadata service or EC2 meets a closed port, and says so.
      env: {
        PATH: process.env['PATH'],
        AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://127.0.0.1:1',
        AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
        ...more,
      },
    });
    const node = new RunningNode(child, { dataDir, url: `http://127.0.0.1:${apiPort}` });
    child.stderr.on('data', (chunk: Buffer) => (node.#stderr += chunk.toString()));
    createInterface(child.stdout).on('line', (line) => node.#hear(line));
    child.once('close', () => {
      node.#ended = true;
      node.#wake();
    });
    return node;
  }

  /** The first fact that passes; rejects when the node ends or the time does. */
  async fact(passes: (fact: Fact) => boolean): Promise<Fact> {
    const isStarted = this.facts.some(({ fact }) => fact === 'node.started');
    const late = AbortSignal.timeout(isStarted ? factMs : startMs);
    for (;;) {
      const found = this.facts.find(passes);
      if (found !== undefined) return found;
      const told = this.facts.map(({ fact }) => fact).join(' ');
      if (this.#ended) throw new Error(`it ended: ${this.#stderr}; ${told}`);
      if (late.aborted) throw new Error(`not in time: ${told} ${this.#stderr}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        late.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  signal(signal: 'SIGHUP' | 'SIGKILL'): void {
    this.#child.kill(signal);
  }

  /** SIGTERM; the exit code. */
  async stop(): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const gone = once(this.#child, 'exit');
      this.#child.kill('SIGTERM');
      await gone;
    }
    await rm(this.#dataDir, { recursive: true, force: true });
    return this.#child.exitCode;
  }

  #hear(line: string): void {
    this.facts.push(JSON.parse(line) as Fact);
    this.#wake();
  }
}
