/** What the local cloud needs of whoever runs the machines. The cloud decides, this carries out. */

export type Launch = {
  readonly id: string;
  /** The lowest number that no live instance has: a replacement takes the place of the one that was lost. */
  readonly index: number;
  readonly zone: string;
  readonly region: string;
  readonly privateIp: string;
  /** http://host:port of the instance's own metadata service, listening already. */
  readonly imdsEndpoint: string;
  /** http://host:port of every other service. */
  readonly awsEndpoint: string;
};

/** The daemon's process group, the engine's, or every process of the instance together. */
export type Part = 'instance' | 'daemon' | 'engine';
export type ProcessSignal = 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGTERM';

/**
 * Calls for one instance come one after another, in order. `signal` and `isolate` on processes that are gone do
 * nothing. After SIGKILL to `instance` none of its processes is left.
 */
export type Hosts = {
  /** Resolves when the daemon's process runs, not when it is ready. Rejects: the instance is terminated. */
  launch(instance: Launch, signal: AbortSignal): Promise<void>;
  signal(id: string, part: Part, signal: ProcessSignal): Promise<void>;
  /** Cuts the instance off from every other one, or joins it again; the metadata service stays reachable. */
  isolate(id: string, on: boolean): Promise<void>;
};
