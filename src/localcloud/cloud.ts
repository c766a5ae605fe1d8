/**
 * The local cloud: as much of AWS as a node touches, on the loopback interface, spoken to by the unmodified SDKs.
 *
 *   one HTTP endpoint ── EC2, Auto Scaling, S3, SSM, STS, told apart by the scope of the signature
 *   one IMDS a machine ── its own port, as its own link-local address would be
 *   one control socket ── interruptions, faults, capacity
 *
 * The machines themselves are behind the `Hosts` port: the cloud says which shall run and when they die.
 */
import { chmod, mkdir } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '../node/ports.ts';
import { Failure } from '../std/failure.ts';
import { openAutoScaling } from './autoscaling/api.ts';
import { targetState } from './autoscaling/group.ts';
import { openOperations } from './cloud-operations.ts';
import type { LocalCloudOptions } from './cloud-options.ts';
import type { Operate } from './control-operations.ts';
import { openControlServer } from './control-server.ts';
import { openEc2 } from './ec2/api.ts';
import { noStandingFaults, strike, type FaultTable } from './faults.ts';
import { openSigner } from './imds/identity-document.ts';
import { openMetadataListeners, type MetadataListeners } from './imds/listeners.ts';
import { metadataTree, type MaintenanceEvent } from './imds/metadata.ts';
import { accessKeyId } from './imds/role-credentials.ts';
import { Datacenter } from './instances/datacenter.ts';
import { isHeld } from './instances/instance.ts';
import { openS3 } from './s3/s3.ts';
import { openSsm } from './ssm.ts';
import { openSts } from './sts.ts';
import type { Api } from './wire/call.ts';
import { openCredentialTable, type CredentialTable } from './wire/credentials.ts';
import { openEndpoint } from './wire/endpoint.ts';
import type { Faults } from './wire/fault-port.ts';

export type LocalCloud = {
  /** http://host:port of every service but the metadata: what AWS_ENDPOINT_URL wants. */
  readonly endpoint: string;
  readonly controlSocket: string;
  /** May everything, on no instance's behalf. */
  readonly operatorCredentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** PEM of the key that verifies the identity documents of this cloud. */
  identityKey(): Promise<string>;
  /** Launches instances of the template into the group, whose desired capacity grows by them. Returns their ids. */
  runInstances(count: number): readonly string[];
  /** The host says so: the instance's daemon has ended by itself. */
  exited(instanceId: string): void;
  readonly operate: Operate;
  /** Kills through the hosts what still runs, then closes every socket. A second call waits for the first. */
  close(): Promise<void>;
};

/** Aborting `signal` gives up a start that is under way; afterwards it means nothing. */
export async function startLocalCloud(options: LocalCloudOptions, signal: AbortSignal): Promise<LocalCloud> {
  await mkdir(options.dir, { recursive: true, mode: 0o700 });
  await chmod(options.dir, 0o700);
  await using started = new AsyncDisposableStack();
  const { clock } = options;
  const failed = reporter(options);
  const table = noStandingFaults();
  const faults = faultsOf(table, clock);
  const { credentials, operator } = openAccount(clock);

  let awsEndpoint = '';
  const machines = openMachines(options, { credentials, faults, awsEndpoint: () => awsEndpoint });
  const { datacenter, listeners, maintenance } = machines;
  const s3 = await openS3({ ...options, dir: join(options.dir, 's3'), report: failed });
  started.defer(async () => s3.close());
  const endpoint = await openEndpoint({
    apis: [...apisOf(options, machines), s3],
    credentials,
    clock,
    faults,
    host: options.host,
    port: options.port,
    report: failed,
  });
  awsEndpoint = endpoint.url;
  started.defer(endpoint.close);
  started.defer(listeners.closeAll);
  const imdsEndpoint = listeners.endpoint;
  const operate = openOperations({ datacenter, faults: table, maintenance, clock, imdsEndpoint });
  const socket = join(options.dir, 'control.sock');
  const control = await openControlServer({ socket, operate, report: failed });
  started.defer(() => datacenter.stop());
  started.defer(control.close);
  signal.throwIfAborted();
  if (options.desired > 0) datacenter.scale({ type: 'desired', count: options.desired });

  const running = started.move();
  let closing: Promise<void> | null = null;
  return {
    endpoint: endpoint.url,
    controlSocket: socket,
    operatorCredentials: operator,
    identityKey: machines.identityKey,
    runInstances: (count) => runInstances(options, datacenter, count),
    exited: (id) => datacenter.order({ type: 'exited', id, terminates: options.terminateOnExit }),
    operate,
    close: () => (closing ??= running.disposeAsync()),
  };
}

type Machines = {
  readonly datacenter: Datacenter;
  readonly listeners: MetadataListeners;
  readonly maintenance: Map<string, readonly MaintenanceEvent[]>;
  identityKey(): Promise<string>;
};

/** The machines and, for each, its metadata service: the two know of each other. */
function openMachines(
  options: LocalCloudOptions,
  of: { readonly credentials: CredentialTable; readonly faults: Faults; awsEndpoint(): string },
): Machines {
  const maintenance: Machines['maintenance'] = new Map();
  const signer = openSigner();
  const failed = reporter(options);
  const listeners: MetadataListeners = openMetadataListeners({
    host: options.host,
    clock: options.clock,
    faults: of.faults,
    credentials: of.credentials,
    credentialsTtlMs: options.credentialsTtlMs,
    latest: (instance, credentials) =>
      metadataTree({
        site: datacenter.site,
        account: options.account,
        role: options.role,
        instance: datacenter.fleet().instances.get(instance)!,
        plan: datacenter.interruptions().plans.get(instance) ?? null,
        target: targetOf(datacenter, instance),
        maintenance: maintenance.get(instance) ?? [],
        credentials,
        sign: signer.sign,
      }),
    report: failed,
  });
  const datacenter: Datacenter = new Datacenter({
    ...options,
    site: { region: options.region, zones: options.zones },
    async boot({ id, index, zone, privateIp }, signal) {
      const imdsEndpoint = await listeners.open(id, signal);
      const { region } = options;
      const awsEndpoint = of.awsEndpoint();
      await options.hosts.launch({ id, index, zone, region, privateIp, imdsEndpoint, awsEndpoint }, signal);
    },
    ended(id) {
      maintenance.delete(id);
      listeners.close(id).catch(failed);
    },
  });
  return { datacenter, listeners, maintenance, identityKey: signer.publicKey };
}

/** A member that the group has let go of is on its way out, whoever wanted that. */
function targetOf(datacenter: Datacenter, id: string): string | null {
  const wasMember = datacenter.fleet().instances.get(id)?.group !== null;
  return targetState(datacenter.group(), id) ?? (wasMember ? 'Terminated' : null);
}

function apisOf(options: LocalCloudOptions, { datacenter, maintenance }: Machines): readonly Api[] {
  const { account, region, zones, clock, policy, seed, instancesMax } = options;
  const fleet = () => datacenter.fleet();
  const ec2 = openEc2({
    site: datacenter.site,
    account,
    policy,
    seed,
    instancesMax,
    now: () => clock.now(),
    wallNow: () => clock.wallNow(),
    fleet,
    deliver: (event) => datacenter.order(event),
    launch: (request) => datacenter.launch(request),
    outages: () => datacenter.outages,
    maintenance: (id) => (maintenance.get(id) ?? []).filter(({ state }) => state === 'active'),
  });
  const group = () => datacenter.group();
  const deliver: Datacenter['scale'] = (event) => datacenter.scale(event);
  const createdAt = clock.wallNow();
  return [
    ec2,
    openAutoScaling({ account, region, zones, createdAt, group, fleet, deliver }),
    openSsm({ account, region, clock }),
    openSts({ account, roleOf: () => options.role }),
  ];
}

/** The operator's key is made anew each time: nothing that talks to a local cloud may work anywhere else. */
function openAccount(clock: Clock): {
  readonly credentials: CredentialTable;
  readonly operator: LocalCloud['operatorCredentials'];
} {
  const credentials = openCredentialTable(() => clock.wallNow());
  const secret = randomBytes(30).toString('base64');
  const operator = { accessKeyId: accessKeyId('AKIA'), secretAccessKey: secret };
  credentials.issue(operator.accessKeyId, { secret, sessionToken: null, instanceId: null, expiresAt: null });
  return { credentials, operator };
}

function runInstances(
  { template, group, instancesMax }: LocalCloudOptions,
  datacenter: Datacenter,
  count: number,
): readonly string[] {
  const held = [...datacenter.fleet().instances.values()].filter(isHeld).length;
  if (datacenter.group().desired + count > group.max || held + count > instancesMax)
    throw new Failure('denied', `run ${count} instances: the group holds at most ${group.max}`);
  const tags = { ...template.tags, 'aws:autoscaling:groupName': group.name };
  const request = { ...template, tags, zone: null, clientToken: null, group: group.name, count };
  const ids = datacenter.launch(request);
  if (ids === null) throw new Failure('busy', `run ${count} instances: no capacity in any zone`);
  for (const id of ids)
    datacenter.scale({ type: 'attached', id, zone: datacenter.fleet().instances.get(id)!.zone });
  return ids;
}

const faultsOf = (table: FaultTable, clock: Clock): Faults => ({
  before: (service, operation, instanceId) => strike(table, { service, operation, instanceId }, clock.now()),
});

const reporter =
  ({ report }: LocalCloudOptions) =>
  (error: unknown): void =>
    report({
      fact: 'cloud.failed',
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
