/**
 * The cluster as EC2 tells it, and the node's own tags in it.
 *
 * Every read is filtered and paginated: an unfiltered one has a quarter of the account's rate, and fails as a whole
 * when a zone is in trouble. Retries are the SDK's `standard` mode, three attempts: `adaptive` would block a poll for a
 * minute. Only a complete answer is an answer; what a failed one means is decided by membership, which lets it change
 * nothing.
 */
import type { EC2Client, Instance } from '@aws-sdk/client-ec2';
import pRetry from 'p-retry';
import type { Cloud, InstanceIdentity, PeerAddress, Sighting } from '../node/ports.ts';
import { assert } from '../std/assert.ts';
import { Failure } from '../std/failure.ts';
import type { RoleCredentials } from './credentials.ts';
import { ec2Failure } from './ec2-failure.ts';

export type Ec2Options = {
  readonly cluster: string;
  readonly identify: (signal: AbortSignal) => Promise<InstanceIdentity>;
  readonly credentials: () => Promise<RoleCredentials>;
  /** null: the one of AWS in the instance's region. */
  readonly endpoint: string | null;
  /** null: the instance's. */
  readonly region: string | null;
  /** Where peers listen for gossip unless their tag SynktiAddress says otherwise. */
  readonly p2pPort: number;
};

/** The most that one answer may hold. */
const pageSize = 1_000;
/** Twenty thousand instances: beyond any cluster, and the end of a listing that runs in circles. */
const pagesMax = 20;
const connectMs = 1_000;
const requestMs = 5_000;
/** A booting instance may be unknown to parts of EC2 for seconds, rarely minutes; the caller's signal is the bound. */
const tagRetries = { retries: 20, minTimeout: 500, maxTimeout: 10_000, factor: 2, randomize: true };

export function openCloud(options: Ec2Options): Cloud & { close(): void } {
  let identity: Promise<InstanceIdentity> | null = null;
  let opened: Promise<EC2Client> | null = null;

  /** Asked once and kept; a failure is not kept. */
  function identify(signal: AbortSignal): Promise<InstanceIdentity> {
    identity ??= options.identify(signal).catch((error: unknown) => {
      identity = null;
      throw error;
    });
    return identity;
  }

  async function open(signal: AbortSignal): Promise<EC2Client> {
    const region = options.region ?? (await identify(signal)).region;
    // Loaded on first use: the SDK takes longer to load than everything else in a command that needs no cloud.
    const { EC2Client: Client } = await import('@aws-sdk/client-ec2');
    return new Client({
      region,
      ...(options.endpoint === null ? {} : { endpoint: options.endpoint }),
      credentials: options.credentials,
      maxAttempts: 3,
      retryMode: 'standard',
      requestHandler: { connectionTimeout: connectMs, requestTimeout: requestMs },
    });
  }

  function client(signal: AbortSignal): Promise<EC2Client> {
    opened ??= open(signal).catch((error: unknown) => {
      opened = null;
      throw error;
    });
    return opened;
  }

  async function sightings(signal: AbortSignal): Promise<readonly Sighting[]> {
    const { paginateDescribeInstances } = await import('@aws-sdk/client-ec2');
    const found: Sighting[] = [];
    let pages = 0;
    const filters = [
      { Name: 'tag:SynktiCluster', Values: [options.cluster] },
      { Name: 'instance-state-name', Values: ['pending', 'running'] },
    ];
    const listing = paginateDescribeInstances(
      { client: await client(signal), pageSize, stopOnSameToken: true },
      { Filters: filters },
      { abortSignal: signal },
    );
    for await (const page of listing) {
      if (++pages > pagesMax) throw new Failure('invalid', `list instances: invalid: over ${pagesMax} pages`);
      for (const { Instances = [] } of page.Reservations ?? []) {
        for (const instance of Instances) found.push(...sightingFrom(instance, options.p2pPort));
      }
    }
    return found;
  }

  async function tag(tags: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void> {
    const { CreateTagsCommand } = await import('@aws-sdk/client-ec2');
    const { instanceId } = await identify(signal);
    const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
    const command = new CreateTagsCommand({ Resources: [instanceId], Tags });
    await (await client(signal)).send(command, { abortSignal: signal });
  }

  async function untag(keys: readonly string[], signal: AbortSignal): Promise<void> {
    const { DeleteTagsCommand } = await import('@aws-sdk/client-ec2');
    const { instanceId } = await identify(signal);
    const command = new DeleteTagsCommand({ Resources: [instanceId], Tags: keys.map((Key) => ({ Key })) });
    await (await client(signal)).send(command, { abortSignal: signal });
  }

  return {
    identify,
    sightings: (signal) => sightings(signal).catch(translate('list instances', signal)),
    tagSelf: async (tags, signal) => {
      const known = (error: unknown): boolean => error instanceof Failure && error.kind === 'missing';
      await pRetry(() => tag(tags, signal).catch(translate('tag own instance', signal)), {
        ...tagRetries,
        signal,
        shouldRetry: ({ error }) => known(error),
      }).catch(translate('tag own instance', signal));
    },
    untagSelf: async (keys, signal) => {
      assert(keys.length > 0, 'without keys EC2 deletes every tag');
      await untag(keys, signal).catch(translate('untag own instance', signal));
    },
    close: () =>
      void opened?.then(
        (client) => client.destroy(),
        () => undefined,
      ),
  };
}

const translate = (trail: string, signal: AbortSignal) => (error: unknown) => {
  throw ec2Failure(trail, error, signal);
};

/** None for what is no instance of ours: a description without an id. */
function sightingFrom(instance: Instance, p2pPort: number): Sighting[] {
  const { InstanceId: instanceId, PrivateIpAddress: privateIp } = instance;
  if (instanceId === undefined) return [];
  const tags = new Map(instance.Tags?.map(({ Key = '', Value = '' }) => [Key, Value]));
  const tagged = tags.get('SynktiAddress');
  return [
    {
      instanceId,
      peerId: tags.get('SynktiPeerId') || null,
      address: tagged === undefined ? addressOf(privateIp, p2pPort) : parseAddress(tagged),
      zone: instance.Placement?.AvailabilityZone ?? '',
      role: tags.get('SynktiRole') ?? '',
      left: tags.get('SynktiState') === 'left',
    },
  ];
}

const addressOf = (host: string | undefined, port: number): PeerAddress | null =>
  host === undefined ? null : { host, port };

/** `host:port`; null when it is neither, and then the instance is not dialled. */
function parseAddress(text: string): PeerAddress | null {
  const [, host = '', digits = ''] = /^\[?([^\s\[\]/]+?)\]?:(\d{1,5})$/.exec(text.trim()) ?? [];
  const port = Number(digits);
  return host !== '' && port >= 1 && port <= 65_535 ? { host, port } : null;
}
