/**
 * `serf agent`, the yardstick: as many agents with the timing of their `lan` profile, on 127.0.4.x, in a network
 * namespace of their own where there are any, so that its counters are theirs.
 *
 * Their log lines carry whole seconds, so an event's time is that of its line's arrival here, which is milliseconds
 * of the seconds that it measures.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { instanceMark } from '../../../src/cli/dev/environment.ts';
import { Condition } from '../../lab/condition.ts';
import type { Window } from './deaths.ts';

type Seen = {
  readonly by: number;
  readonly at: number;
  readonly what: 'Join' | 'Failed';
  readonly who: number;
};

const eventLine = /EventMember(Join|Failed): s(\d+) /;
const namespace = 'serf';
/** A detection takes 7-9 s; one that has not come by then counts as that. */
const knownMs = 30_000;
const joinMs = 30_000;

/** Installs the Debian package where it is missing and this may. null: it is there; else why it is not. */
export function needSerf(): string | null {
  const isThere = (): boolean => spawnSync('serf', ['version']).status === 0;
  if (isThere()) return null;
  if (process.getuid?.() !== 0) return 'serf is not installed, and only root may install it';
  const installed = spawnSync('apt-get', ['install', '--yes', 'serf'], {
    encoding: 'utf8',
    timeout: 120_000,
  });
  if (isThere()) return null;
  return `apt-get install serf: ${installed.error?.message ?? installed.stderr.trim().split('\n').at(-1)}`;
}

export class Serf {
  readonly #count: number;
  readonly #dir: string;
  readonly #inside: readonly string[];
  readonly #agents = new Map<number, ChildProcess>();
  readonly #seen: Seen[] = [];
  readonly #change = new Condition();

  /** Resolves when every agent has seen every other one join. */
  static async start(count: number, dir: string, isEnclosed: boolean): Promise<Serf> {
    const serf = new Serf(count, dir, isEnclosed ? ['ip', 'netns', 'exec', namespace] : []);
    if (isEnclosed) {
      await promisify(execFile)('ip', ['netns', 'add', namespace]);
      await promisify(execFile)('ip', ['-netns', namespace, 'link', 'set', 'lo', 'up']);
    }
    for (let index = 0; index < count; index++) serf.#launch(index);
    const met = (): boolean => new Set(serf.#pairs('Join', 0)).size >= count * (count - 1);
    if (!(await serf.#change.until(met, joinMs))) throw new Error('the serf agents do not all meet');
    return serf;
  }

  private constructor(count: number, dir: string, inside: readonly string[]) {
    this.#count = count;
    this.#dir = dir;
    this.#inside = inside;
  }

  /** Kills an agent, answers how long until all the others knew, ms, and has it back before it resolves. */
  async kill(index: number): Promise<number> {
    const agent = this.#agents.get(index);
    const since = Date.now();
    agent?.kill('SIGKILL');
    this.#agents.delete(index);
    const others = this.#count - 1;
    const known = (): readonly Seen[] => this.#of('Failed', since).filter(({ who }) => who === index);
    const byWhom = (): number => new Set(known().map(({ by }) => by)).size;
    const all = await this.#change.until(() => byWhom() >= others, knownMs);
    const ms = all ? Math.max(...known().map(({ at }) => at)) - since : knownMs;
    const restartedAt = Date.now();
    this.#launch(index);
    const back = (): boolean =>
      new Set(this.#pairs('Join', restartedAt).filter((pair) => pair.endsWith(` ${index}`))).size >= others;
    await this.#change.until(back, joinMs);
    return ms;
  }

  /** Every time that an agent called another one failed. */
  failures({ from, until }: Window): number {
    return this.#of('Failed', from).filter(({ at }) => at < until).length;
  }

  signal(index: number, name: NodeJS.Signals): void {
    this.#agents.get(index)?.kill(name);
  }

  pids(): readonly number[] {
    return [...this.#agents.values()].map(({ pid }) => pid!);
  }

  /** The counters of their network namespace; null: they have none of their own. */
  async counters(): Promise<{ readonly netstat: string; readonly snmp: string } | null> {
    const [pid] = this.pids();
    if (this.#inside.length === 0) return null;
    const read = (name: string): Promise<string> => readFile(`/proc/${pid}/net/${name}`, 'utf8');
    return { netstat: await read('netstat'), snmp: await read('snmp') };
  }

  async close(): Promise<void> {
    const agents = [...this.#agents.values()];
    const ended = agents.map((agent) => once(agent, 'exit'));
    for (const agent of agents) agent.kill('SIGKILL');
    await Promise.all(ended);
  }

  #launch(index: number): void {
    const host = (at: number): string => `127.0.4.${at + 1}`;
    const [command = '', ...args] = [
      ...[...this.#inside, 'serf', 'agent', `-node=s${index}`, '-profile=lan', '-retry-interval=1s'],
      ...[`-bind=${host(index)}:7946`, `-rpc-addr=${host(index)}:7373`],
      // Two, because one of them may be the one that starts again.
      ...[`-retry-join=${host(index === 0 ? 2 : 0)}`, `-retry-join=${host(index === 1 ? 2 : 1)}`],
    ];
    const agent = spawn(command, args, {
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { PATH: process.env['PATH'], ...this.#marked(index) },
    });
    this.#agents.set(index, agent);
    createInterface({ input: agent.stdout }).on('line', (line) => this.#hear(index, line));
  }

  /** As the daemons are marked: whoever clears up after a crashed trial finds both. */
  #marked(index: number): Readonly<Record<string, string>> {
    return {
      SYNKTI_DEV_DIR: this.#dir,
      ...instanceMark(this.#dir, { node: index, id: namespace }).environment,
    };
  }

  #hear(by: number, line: string): void {
    const [, what, who] = eventLine.exec(line) ?? [];
    if (what === undefined) return;
    this.#seen.push({ by, at: Date.now(), what: what as Seen['what'], who: Number(who) });
    this.#change.tell();
  }

  #of(what: Seen['what'], since: number): readonly Seen[] {
    return this.#seen.filter((seen) => seen.what === what && seen.at >= since && seen.by !== seen.who);
  }

  #pairs(what: Seen['what'], since: number): readonly string[] {
    return this.#of(what, since).map(({ by, who }) => `${by} ${who}`);
  }
}
