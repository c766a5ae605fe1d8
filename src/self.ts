/** Who this node is, and what follows from it: where its cluster is listed, who notices that it must go. */
import { join } from 'node:path';
import { awaitCredentials, roleCredentials } from './aws/credentials.ts';
import { openCloud } from './aws/ec2.ts';
import { openImds } from './aws/imds.ts';
import { clusterTag, identify, noticesFrom } from './aws/metadata.ts';
import { parametersIn, type ReadParameter } from './aws/parameters.ts';
import type { Settings } from './config/settings.ts';
import type { Listing } from './discovery/state.ts';
import { openFinder } from './libp2p/mdns.ts';
import { loadIdentity, type Identity } from './mtls/identity.ts';
import { authorityOf } from './node/authority.ts';
import type { Report } from './node/facts.ts';
import type { Cloud, PeerAddress, ReadNotice, Remembered } from './node/ports.ts';
import { systemClock } from './os/clock.ts';
import { takeDataDir } from './os/data-dir.ts';
import { lockDirectory } from './os/lock.ts';
import { recall, type MemoryPlace } from './os/memory.ts';
import { listedZone, openRoster, withOperators, type ListedPeer } from './roster/roster.ts';
import { assert } from './std/assert.ts';
import { Failure, type FailureKind } from './std/failure.ts';

const imdsOfAws = 'http://169.254.169.254';
/** libp2p listens there on every instance, so that its address follows from the private IP. */
const p2pPortOfAll = 4001;
/** The metadata service of a booting instance may take a while; without it a node does not know who it is. */
const identifyMs = 15_000;
/** Then a person at a terminal wonders. */
const awaitedMs = 2_000;
/** The credentials of a role that was just attached appear within seconds. */
const credentialsMs = 5_000;

/** Who this node is: by its key, and by what the settings and, unless they list the peers, the metadata service say. */
export type Self = {
  readonly id: string;
  readonly cluster: string;
  /** Where other nodes reach it. */
  readonly host: string;
  readonly identity: Identity;
  readonly zone: string;
  readonly readNotice: ReadNotice;
  readonly cloud: Cloud;
  /** EC2's is one for all, that of the settings our own. */
  readonly listing: Listing;
  /** null: it is on no EC2 instance. */
  readonly readParameter: ReadParameter | null;
  /** Where other nodes find its libp2p, as its tags say; null: they derive it. */
  readonly address: string | null;
  readonly memory: MemoryPlace;
  /** null: nothing. */
  readonly remembered: Remembered | null;
};

type Found = Omit<Self, 'address' | 'memory' | 'remembered'> & {
  /** By which others find it who know of no other address. */
  readonly privateIp: string;
};

export async function identifySelf(
  settings: Settings,
  { opened, report }: { readonly opened: AsyncDisposableStack; readonly report: Report },
): Promise<Self> {
  await takeDataDir(settings.dataDir);
  const lock = lockDirectory(settings.dataDir);
  opened.defer(() => lock.release());
  const identity = await loadIdentity(settings.dataDir);
  const { peers, operators } = settings;
  const { privateIp, ...self } =
    peers === null
      ? await identifyInstance(settings, identity, { opened, report })
      : await identifyListed({ ...settings, peers }, identity, { opened, report });
  const isDerivable = self.host === privateIp && settings.p2pPort === p2pPortOfAll;
  const address = isDerivable ? null : authorityOf({ host: self.host, port: settings.p2pPort });
  const of = JSON.stringify([self.cluster, self.id, identity.peerId, settings.role, address]);
  const memory = { path: join(settings.dataDir, 'members.json'), of };
  const remembered = self.listing === 'shared' ? await recall(memory) : null;
  return { ...self, cloud: withOperators(self.cloud, operators), address, memory, remembered };
}

/** Neither EC2 nor the metadata service is asked for anything. */
async function identifyListed(
  { peers, ...settings }: Settings & { readonly peers: readonly ListedPeer[] },
  identity: Identity,
  { opened, report }: { readonly opened: AsyncDisposableStack; readonly report: Report },
): Promise<Found> {
  const { nodeId, host, p2pPort, cluster } = settings;
  assert(nodeId !== null && host !== null, 'the settings are refused without them');
  const self = { nodeId, peerId: identity.peerId, address: { host, port: p2pPort } };
  let find: (peerId: string) => PeerAddress | null = () => null;
  const cloud = openRoster(self, peers, (peerId) => find(peerId));
  if (peers.some(({ address }) => address === null)) {
    const wanted = new Set(peers.map(({ peerId }) => peerId));
    const onFailed = (why: string): void => report({ fact: 'discovery.failed', why });
    const finder = await openFinder({ self, wanted, onFailed });
    opened.defer(() => finder.close());
    find = finder.find;
  }
  return {
    ...{ id: nodeId, cluster: cluster ?? 'synkti', host, identity, cloud },
    ...{ zone: listedZone, privateIp: host },
    readNotice: () => Promise.resolve(null),
    listing: 'own',
    readParameter: null,
  };
}

async function identifyInstance(
  settings: Settings,
  identity: Identity,
  { opened, report }: { readonly opened: AsyncDisposableStack; readonly report: Report },
): Promise<Found> {
  const imds = openImds(settings.imdsEndpoint ?? imdsOfAws);
  opened.defer(() => imds.close());
  const identifying = AbortSignal.timeout(identifyMs);
  const awaiting = setTimeout(() => report({ fact: 'imds.awaited', why: elsewhere }), awaitedMs);
  const { instanceId, zone, privateIp, ...instance } = await identify(imds, identifying)
    .catch((error: unknown) => Promise.reject(unidentified(error)))
    .finally(() => clearTimeout(awaiting));
  // A launch template can name the cluster in the instance's tags, which costs no call and no permission to read.
  const cluster = settings.cluster ?? (await clusterTag(imds, identifying)) ?? 'synkti';
  const credentials = roleCredentials(imds, systemClock);
  await awaitCredentials(credentials, AbortSignal.timeout(credentialsMs));
  const region = settings.region ?? instance.region;
  const endpoint = settings.awsEndpoint;
  const cloud = openCloud({ cluster, instanceId, credentials, endpoint, region, p2pPort: p2pPortOfAll });
  opened.defer(() => cloud.close());
  const host = settings.host ?? privateIp;
  const id = settings.nodeId ?? instanceId;
  const readNotice = noticesFrom(imds);
  const readParameter = parametersIn({ credentials, endpoint, region });
  const found = { id, cluster, host, privateIp, zone, identity, readNotice, cloud, readParameter };
  return { ...found, listing: 'shared' };
}

/** Whoever has no instance metadata is most likely on no instance, and alone as long as nobody is listed. */
const elsewhere =
  'a node away from EC2 is alone until --peers lists the others: as name=peerId@host:port, or name=peerId for mDNS to find ' +
  '(synkti identity prints a peerId); synkti dev runs a whole cluster on one machine; a container on EC2 needs the network ' +
  'of its host (--network host), or --http-put-response-hop-limit 2 for the instance';

/** As AWS answers 403: by the instance's own options. */
const switchedOff =
  'the metadata of this instance is switched off: aws ec2 modify-instance-metadata-options --http-endpoint enabled ' +
  '--http-tokens required --instance-id ID turns it on; without it --peers lists the nodes';

const remedies: Partial<Record<FailureKind, string>> = {
  ...{ missing: elsewhere, unreachable: elsewhere, late: elsewhere },
  denied: switchedOff,
};

function unidentified(error: unknown): unknown {
  const remedy = error instanceof Failure ? remedies[error.kind] : undefined;
  if (!(error instanceof Failure) || remedy === undefined) return error;
  return new Failure(error.kind, `${error.message}: ${remedy}`, error);
}
