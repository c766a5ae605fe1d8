/** Starts the simulated engine as a process of its own on a Unix socket, and leaves nothing of it behind. */
import { ok } from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ask, call, eventsOf, type Answer, type Call } from '../../conformance/talk.ts';

const entry = join(import.meta.dirname, 'entry.ts');
/** Longer than any of these tests waits for anything on a machine that does other things too, ms. */
const patienceMs = 60_000;

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

export class EngineProcess implements AsyncDisposable {
  readonly folder: string;
  readonly socket: string;
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  log = '';

  constructor(flags: readonly string[], env: Readonly<Record<string, string>> = {}, folder?: string) {
    this.folder = folder ?? mkdtempSync(join(tmpdir(), 'engine-'));
    this.socket = join(this.folder, 'engine.sock');
    this.child = spawn(process.execPath, [entry, '--uds', this.socket, ...flags], {
      // A group of its own, as a supervisor starts it: killing the group leaves no orphan.
      detached: true,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.exited = new Promise((resolve) =>
      this.child.on('exit', (code, signal) => resolve({ code, signal })),
    );
    for (const stream of [this.child.stdout!, this.child.stderr!])
      stream.on('data', (text: Buffer) => (this.log += text.toString()));
  }

  get pid(): number {
    return this.child.pid!;
  }

  async ready(): Promise<this> {
    await until('the engine is ready', async () => (await this.get('/health')).status === 200);
    return this;
  }

  get(path: string): Promise<Answer> {
    return ask(this.socket, { method: 'GET', path }, { waitMs: patienceMs });
  }

  post(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return ask(this.socket, { method: 'POST', path, body, headers }, { waitMs: patienceMs });
  }

  call(path: string, body: unknown, waitMs = patienceMs): Call {
    return call(this.socket, { method: 'POST', path, body }, { waitMs });
  }

  /** The `data:` events of a streamed answer. */
  async stream(path: string, body: object): Promise<readonly Event[]> {
    const answer = await this.post(path, { stream: true, ...body });
    ok(answer.status === 200, answer.body);
    return eventsOf(answer.body) as readonly Event[];
  }

  async json(path: string, body: object): Promise<{ readonly status: number | null; readonly body: Loose }> {
    const answer = await this.post(path, body);
    return { status: answer.status, body: JSON.parse(answer.body) as Loose };
  }

  /** Of one sample without labels of its own beyond engine and model. */
  async metric(name: string): Promise<number> {
    const { body } = await this.get('/metrics');
    const line = body.split('\n').find((text) => text.startsWith(`${name}{`));
    ok(line !== undefined, `${name} is a metric`);
    return Number(line.split(' ').at(-1));
  }

  /** The EngineCore process, found by its title among the processes of the group. */
  corePid(): number {
    const found = processesOf(this.pid).find(({ title }) => title.startsWith('VLLM::EngineCore'));
    ok(found !== undefined, 'the engine core runs');
    return found.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (processesOf(this.pid).length > 0) process.kill(-this.pid, 'SIGKILL');
    await this.exited;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What a test looks at without naming its type. */
export type Loose = any;
export type Event = Loose;

export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!(await holds())) {
    ok(performance.now() < deadline, `in time: ${what}`);
    await pause(10);
  }
}

/** Every process of a group that is not a zombie, from /proc. */
export function processesOf(group: number): readonly { readonly pid: number; readonly title: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const stat = read(`/proc/${name}/stat`);
      const [state, , pgrp] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (Number(pgrp) !== group || state === 'Z') return [];
      return [{ pid: Number(name), title: read(`/proc/${name}/cmdline`).replaceAll('\0', ' ').trim() }];
    });
}

/** A process may go while it is looked at. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ') Z 0 0';
  }
}
