/** The metadata services of all instances: each has its own port, its own tokens and its own credentials. */
import type { Clock } from '../../node/ports.ts';
import type { CredentialTable } from '../wire/credentials.ts';
import type { Faults } from '../wire/fault-port.ts';
import { openRoleCredentials, type RoleCredentials } from './role-credentials.ts';
import { openMetadataListener, type MetadataListener } from './server.ts';
import type { Tree } from './tree.ts';

export type MetadataListeners = {
  /** http://host:port; null: it has not booted, or has ended. */
  endpoint(instanceId: string): string | null;
  /** Aborted: the instance was killed meanwhile, and gets no listener. */
  open(instanceId: string, signal: AbortSignal): Promise<string>;
  close(instanceId: string): Promise<void>;
  closeAll(): Promise<void>;
};

export function openMetadataListeners(options: {
  readonly host: string;
  readonly clock: Clock;
  readonly faults: Faults;
  readonly credentials: CredentialTable;
  readonly credentialsTtlMs: number;
  latest(instanceId: string, credentials: () => RoleCredentials): Tree;
  report(error: unknown): void;
}): MetadataListeners {
  const { host, clock, faults, credentials: table, report } = options;
  const listeners = new Map<string, MetadataListener>();

  async function close(instanceId: string): Promise<void> {
    const listener = listeners.get(instanceId);
    listeners.delete(instanceId);
    table.revoke(instanceId);
    await listener?.close();
  }

  return {
    endpoint: (instanceId) => listeners.get(instanceId)?.endpoint ?? null,
    async open(instanceId, signal) {
      const credentials = openRoleCredentials({
        instanceId,
        table,
        ttlMs: options.credentialsTtlMs,
        wallNow: () => clock.wallNow(),
      });
      const latest = (): Tree => options.latest(instanceId, credentials);
      const listener = await openMetadataListener({ instanceId, host, clock, faults, latest, report });
      if (signal.aborted) await listener.close();
      signal.throwIfAborted();
      listeners.set(instanceId, listener);
      return listener.endpoint;
    },
    close,
    closeAll: async () => {
      await Promise.all([...listeners.keys()].map(close));
    },
  };
}
