/** Everything that can differ between two local clouds, and what is usual. */
import type { Report } from '../node/facts.ts';
import type { Clock } from '../node/ports.ts';
import type { GroupSettings } from './autoscaling/group.ts';
import type { NodePolicy } from './ec2/world.ts';
import type { FleetTimings } from './instances/fleet.ts';
import type { Hosts } from './instances/hosts.ts';
import type { Blueprint } from './instances/instance.ts';
import type { S3Options } from './s3/s3.ts';
import { awsRequestRate } from './s3/shaping.ts';

export type LocalCloudOptions = {
  /** Made if missing, closed to others; holds the control socket and what S3 stores. */
  readonly dir: string;
  readonly hosts: Hosts;
  readonly clock: Clock;
  readonly report: Report;
  /** Ids, addresses, lags and prices follow from it. */
  readonly seed: number;
  /** Every service and every machine's metadata listen here: another than the loopback is for network namespaces. */
  readonly host: string;
  /** Of the one endpoint of all services; 0: any. */
  readonly port: number;
  readonly region: string;
  readonly zones: readonly string[];
  /** Twelve digits. */
  readonly account: string;
  /** The IAM role of every instance. */
  readonly role: string;
  /** What Auto Scaling and `runInstances` launch. */
  readonly template: Pick<Blueprint, 'type' | 'imageId' | 'lifecycle' | 'tags'>;
  /** Launched at the start, replaced when lost. */
  readonly desired: number;
  readonly group: GroupSettings;
  readonly timings: FleetTimings;
  readonly policy: NodePolicy;
  readonly credentialsTtlMs: number;
  /** The account's quota of instances. */
  readonly instancesMax: number;
  /** Whether an instance ends when its daemon does: `shutdown` as its last word, and instance-initiated termination. */
  readonly terminateOnExit: boolean;
} & Pick<S3Options, 'dayMs' | 'requestRate' | 'bandwidthOf'>;

type Usual = Omit<LocalCloudOptions, 'dir' | 'hosts' | 'clock' | 'report' | 'seed'>;

export const usualCloud: Usual = {
  host: '127.0.0.1',
  port: 0,
  region: 'us-east-1',
  zones: ['us-east-1a', 'us-east-1b', 'us-east-1c'],
  account: '111122223333',
  role: 'synkti-node',
  template: { type: 'g5.xlarge', imageId: 'ami-0c0ffee0c0ffee001', lifecycle: 'spot', tags: {} },
  desired: 0,
  group: {
    name: 'synkti-nodes',
    min: 0,
    max: 32,
    replaceAfterMs: 5_000,
    capacityRebalance: false,
    terminationHook: { name: 'drain', heartbeatMs: 60_000 },
  },
  timings: {
    bootMs: 100,
    shutdownMs: 30_000,
    settleMs: 300,
    lagMs: 200,
    remembersTerminatedMs: 3_540_000,
  },
  policy: {
    tagKeys: ['SynktiCluster', 'SynktiRole', 'SynktiState', 'SynktiPeerId', 'SynktiNodeId', 'SynktiAddress'],
    tagValues: {},
    deletesTags: true,
  },
  credentialsTtlMs: 6 * 3_600_000,
  instancesMax: 64,
  terminateOnExit: false,
  dayMs: 86_400_000,
  requestRate: awsRequestRate,
  bandwidthOf: () => null,
};
