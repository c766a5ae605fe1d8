/**
 * The cluster as EC2 tells it, and the node's own tags in it.
 *
 * Every read is filtered and paginated: an unfiltered one has a quarter of the account's rate, and fails as a whole
 * when a zone is in trouble. Retries are the SDK's `standard` mode, capped at two attempts: `adaptive` would block a poll
 * for a minute, and whoever is throttled is one of many, whom discovery spreads over minutes; a third attempt within the
 * same second would only take the account's calls from others. Only a complete answer is an answer; what a failed one
 * means is decided by discovery, which lets it change nothing.
 *
 * The SDK is imported by name: loaded as a whole it brings the 800 calls of EC2 that nobody makes, 12 MB of them. It
 * takes longer to load than all the rest of a command that needs no cloud, so such commands do not load this file.
 */
import {
  CreateTagsCommand,
  DeleteTagsCommand,
  EC2Client,
  paginateDescribeInstances,
  type Instance,
} from '@aws-sdk/client-ec2';
import pRetry from 'p-retry';
import type { Cloud, PeerAddress, Sighting } from '../node/ports.ts';
import { assert } from '../std/assert.ts';
import { Failure } from '../std/failure.ts';
import type { RoleCredentials } from './credentials.ts';
import { ec2Failure } from './ec2-failure.ts';

type Ec2Options = {
  readonly cluster: string;
  /** The own instance. */
  readonly instanceId: string;
  readonly credentials: () => Promise<RoleCredentials>;
  /** null: the one of AWS in the region. */
  readonly endpoint: string | null;
  readonly region: string;
  /** Where peers listen for gossip unless their tag SynktiAddress says otherwise. */
  readonly p2pPort: number;
};

/** The most that one answer may hold. */
const pageSize = 1_000;
/** Twenty thousand instances: beyond any cluster, and the end of a listing that runs in circles. */
const pagesMax = 20;
const attemptsMax = 2;
const connectMs = 1_000;
/** Both attempts fit into the ten seconds of a look: one that EC2 never answers is not the last. */
const requestMs = 4_000;
/** A booting instance may be unknown to parts of EC2 for seconds, rarely minutes; the caller's signal is the bound. */
const tagRetries = { retries: 20, minTimeout: 500, maxTimeout: 10_000, factor: 2, randomize: true };

export const openCloud = (options: Ec2Options): Ec2Cloud => new Ec2Cloud(options);

class Ec2Cloud implements Cloud {
  readonly #options: Ec2Options;
  #client: EC2Client | null = null;

  constructor(options: Ec2Options) {
    this.#options = options;
  }

  sightings(signal: AbortSignal): Promise<readonly Sighting[]> {
    return this.#list(signal).catch(translate('list instances', signal));
  }

  async tagSelf(tags: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void> {
    const translated = translate('tag own instance', signal);
    await pRetry(() => this.#tag(tags, signal).catch(translated), {
      ...tagRetries,
      signal,
      shouldRetry: ({ error }) => error instanceof Failure && error.kind === 'missing',
    }).catch(translated);
  }

  async untagSelf(keys: readonly string[], signal: AbortSignal): Promise<void> {
    assert(keys.length > 0, 'without keys EC2 deletes every tag');
    await this.#untag(keys, signal).catch(translate('untag own instance', signal));
  }

  close(): void {
    this.#client?.destroy();
  }

  async #list(signal: AbortSignal): Promise<Sighting[]> {
    const found: Sighting[] = [];
    let pages = 0;
    const listing = paginateDescribeInstances(
      { client: this.#open(), pageSize },
      {
        Filters: [
          { Name: 'tag:SynktiCluster', Values: [this.#options.cluster] },
          { Name: 'instance-state-name', Values: ['pending', 'running'] },
        ],
      },
      { abortSignal: signal },
    );
    for await (const page of listing) {
      if (++pages > pagesMax) throw new Failure('invalid', `list instances: invalid: over ${pagesMax} pages`);
      // EC2 says that there is nobody by an empty list. Without one it was somebody else, or half an answer.
      if (page.Reservations === undefined) throw new Failure('invalid', 'list instances: invalid: no list');
      const instances = page.Reservations.flatMap(({ Instances = [] }) => Instances);
      found.push(...instances.flatMap((instance) => sightingFrom(instance, this.#options.p2pPort)));
    }
    return found;
  }

  async #tag(tags: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void> {
    const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
    const command = new CreateTagsCommand({ Resources: [this.#options.instanceId], Tags });
    await this.#open().send(command, { abortSignal: signal });
  }

  async #untag(keys: readonly string[], signal: AbortSignal): Promise<void> {
    const Tags = keys.map((Key) => ({ Key }));
    const command = new DeleteTagsCommand({ Resources: [this.#options.instanceId], Tags });
    await this.#open().send(command, { abortSignal: signal });
  }

  #open(): EC2Client {
    return (this.#client ??= this.#connect());
  }

  #connect(): EC2Client {
    const { region, endpoint, credentials } = this.#options;
    return new EC2Client({
      region,
      ...(endpoint === null ? {} : { endpoint }),
      credentials,
      maxAttempts: attemptsMax,
      retryMode: 'standard',
      requestHandler: {
        connectionTimeout: connectMs,
        requestTimeout: requestMs,
        // Without it the SDK prints a warning instead, and waits on.
        throwOnRequestTimeout: true,
      },
    });
  }
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
