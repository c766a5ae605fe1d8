import { setImmediate as turn } from 'node:timers/promises';
import type { Hosts, Launch, Part, ProcessSignal } from '../../src/localcloud/instances/hosts.ts';

type ProcessLife = 'running' | 'frozen' | 'gone';
type Machine = {
  readonly launch: Launch;
  readonly processes: { daemon: ProcessLife; engine: ProcessLife };
  isolated: boolean;
  asked: boolean;
};

/** Machines that are only a few words in memory: each has a daemon and an engine, which signals act upon. */
export class FakeHosts implements Hosts {
  readonly machines = new Map<string, Machine>();
  /** What the next launches do; empty: they succeed. */
  readonly launches: ('fail' | 'hang')[] = [];

  async launch(launch: Launch, signal: AbortSignal): Promise<void> {
    const fate = this.launches.shift();
    if (fate === 'fail') throw new Error('no such executable');
    if (fate === 'hang') {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      // The process was about to start when the launch was called off, and starts after whatever was ordered since.
      await turn();
    }
    const processes = { daemon: 'running', engine: 'running' } as const;
    this.machines.set(launch.id, { launch, processes: { ...processes }, isolated: false, asked: false });
  }

  async signal(id: string, part: Part, signal: ProcessSignal): Promise<void> {
    const machine = this.machines.get(id);
    if (machine === undefined) return;
    if (signal === 'SIGTERM') machine.asked = true;
    const next = { SIGKILL: 'gone', SIGSTOP: 'frozen', SIGCONT: 'running', SIGTERM: null } as const;
    const life = next[signal];
    for (const name of ['daemon', 'engine'] as const)
      if (life !== null && (part === 'instance' || part === name) && machine.processes[name] !== 'gone')
        machine.processes[name] = life;
  }

  async isolate(id: string, on: boolean): Promise<void> {
    const machine = this.machines.get(id);
    if (machine !== undefined) machine.isolated = on;
  }

  /** Ids of machines on which any process is left. */
  alive(): readonly string[] {
    return [...this.machines]
      .filter(([, { processes }]) => processes.daemon !== 'gone' || processes.engine !== 'gone')
      .map(([id]) => id);
  }
}
