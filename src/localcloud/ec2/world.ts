/** What the EC2 API acts on and what it refuses by: the cloud behind it, seen from the query protocol. */
import type { Instant, WallTime } from '../../std/time.ts';
import type { MaintenanceEvent } from '../imds/metadata.ts';
import type { LaunchRequest, Site } from '../instances/blueprints.ts';
import type { Fleet, FleetEvent } from '../instances/fleet.ts';
import type { TagSet } from '../instances/tags.ts';

/** The IAM policy of the nodes' role, as far as it decides about tags. */
export type NodePolicy = {
  /** A node may write these keys, on its own instance only. */
  readonly tagKeys: readonly string[];
  /** Where a key is named here, only this value may be written: a node cannot tag itself into another cluster. */
  readonly tagValues: TagSet;
  /**
   * Whether a node may delete those keys again. The policy can only tell whose tags they are by the tag SynktiNodeId,
   * so the node must have written its own id there first.
   */
  readonly deletesTags: boolean;
};

export type Ec2World = {
  readonly site: Site;
  readonly account: string;
  readonly policy: NodePolicy;
  /** Seeds the price history. */
  readonly seed: number;
  /** The account's quota, in instances that are not terminated. */
  readonly instancesMax: number;
  now(): Instant;
  wallNow(): WallTime;
  fleet(): Fleet;
  deliver(event: FleetEvent): void;
  /** Ids of what was launched; null: no capacity where it was wanted. */
  launch(request: LaunchRequest & { readonly count: number }): readonly string[] | null;
  /** Zones that are down. */
  outages(): ReadonlySet<string>;
  maintenance(id: string): readonly MaintenanceEvent[];
};
