/** Runs the instances of the local cloud as processes of this machine, by their ids. */
import type { Hosts } from '../../localcloud/instances/hosts.ts';
import { Failure } from '../../std/failure.ts';
import { clusterMark } from './environment.ts';
import { killMarked } from './kill.ts';
import { Machine, type MachineOptions } from './machine.ts';
import type { DevNode } from './state.ts';

export type DevHosts = Hosts & {
  nodes(): readonly DevNode[];
  /** Kills everything and launches nothing any more. Resolves when no process is left. */
  close(): Promise<void>;
};

export function openHosts(options: MachineOptions): DevHosts {
  const machines = new Map<string, Machine>();
  let isClosed = false;
  return {
    async launch(instance, signal) {
      const machine = await Machine.install(options, instance);
      if (isClosed) throw new Failure('denied', `launch ${instance.id}: the cluster is stopping`);
      signal.throwIfAborted();
      machines.set(instance.id, machine);
      await machine.boot();
    },
    async signal(id, part, name) {
      const machine = machines.get(id);
      if (machine === undefined) return;
      await machine.signal(part, name);
      if (part !== 'instance' || name !== 'SIGKILL') return;
      machines.delete(id);
      options.onChanged();
    },
    isolate: async (id, on) => machines.get(id)?.isolate(on),
    nodes: () => [...machines.values()].map(({ node }) => node).sort((a, b) => a.node - b.node),
    async close() {
      isClosed = true;
      await Promise.all([...machines.values()].map((machine) => machine.powerOff()));
      await killMarked(clusterMark(options.dir));
    },
  };
}
