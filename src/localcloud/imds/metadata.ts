/** What IMDS shows of one instance, every path below /latest that a node or an AWS library asks for. */
import { wallTime, type WallTime } from '../../std/time.ts';
import { zoneId, type Site } from '../instances/blueprints.ts';
import type { Instance } from '../instances/instance.ts';
import { truth } from '../instances/tags.ts';
import type { Plan } from '../interruptions.ts';
import type { RoleCredentials } from './role-credentials.ts';
import type { Tree } from './tree.ts';

/** One entry of events/maintenance/scheduled. */
export type MaintenanceEvent = {
  readonly id: string;
  readonly code:
    'instance-reboot' | 'system-reboot' | 'system-maintenance' | 'instance-retirement' | 'instance-stop';
  readonly description: string;
  readonly notBefore: WallTime;
  readonly notAfter: WallTime;
  readonly state: 'active' | 'completed' | 'canceled';
};

type Metadata = {
  readonly site: Site;
  readonly account: string;
  readonly role: string;
  readonly instance: Instance;
  readonly plan: Plan | null;
  readonly target: string | null;
  readonly maintenance: readonly MaintenanceEvent[];
  credentials(): RoleCredentials;
  sign(document: string): Promise<string>;
};

export function metadataTree(of: Metadata): Tree {
  const { instance, site } = of;
  const document = identityDocument(of);
  return {
    dynamic: {
      'instance-identity': { document, signature: () => of.sign(document) },
    },
    'meta-data': {
      'ami-id': instance.imageId,
      'ami-launch-index': '0',
      autoscaling: of.target === null ? undefined : { 'target-lifecycle-state': of.target },
      events: events(of),
      hostname: hostname(instance, site),
      iam: iam(of),
      'instance-action': 'none',
      'instance-id': instance.id,
      'instance-life-cycle': instance.lifecycle,
      'instance-type': instance.type,
      'local-hostname': hostname(instance, site),
      'local-ipv4': instance.privateIp,
      mac: instance.mac,
      network: { interfaces: { macs: { [instance.mac]: networkInterface(of) } } },
      placement: {
        'availability-zone': instance.zone,
        'availability-zone-id': zoneId(site, instance.zone),
        region: site.region,
      },
      'reservation-id': instance.reservationId,
      services: { domain: 'amazonaws.com', partition: 'aws' },
      spot: spot(of.plan),
      tags: tags(instance),
    },
  };
}

/** Vpc and subnet ids derive from zone and cloud: nothing looks behind them. */
export const vpcId = 'vpc-0c0ffee0c0ffee001';
export const subnetId = (site: Site, zone: string): string =>
  `subnet-0c0ffee0c0ffee10${site.zones.indexOf(zone)}`;

/** `2017-09-18T08:22:00Z`: whole seconds, rounded down, so that nobody plans with time that is not there. */
const seconds = (at: WallTime): string => `${new Date(at).toISOString().slice(0, 19)}Z`;

export const hostname = ({ privateIp }: Instance, { region }: Site): string =>
  `ip-${privateIp.replaceAll('.', '-')}.${region === 'us-east-1' ? 'ec2' : `${region}.compute`}.internal`;

function spot(plan: Plan | null): Tree | undefined {
  if (plan?.stage.phase !== 'noticed') return undefined;
  const { action, time } = plan.stage;
  return {
    'instance-action': JSON.stringify({ action, time: seconds(time) }),
    'termination-time': action === 'terminate' ? seconds(time) : undefined,
  };
}

function events({ plan, maintenance }: Metadata): Tree {
  const rebalanceAt = plan?.rebalanceAt ?? null;
  const shown = (wanted: (event: MaintenanceEvent) => boolean): string =>
    JSON.stringify(maintenance.filter(wanted).map(maintenanceEntry));
  return {
    maintenance: {
      history: shown(({ state }) => state !== 'active'),
      scheduled: shown(({ state }) => state === 'active'),
    },
    recommendations:
      rebalanceAt === null ? undefined : { rebalance: JSON.stringify({ noticeTime: seconds(rebalanceAt) }) },
  };
}

const maintenanceEntry = (event: MaintenanceEvent): Readonly<Record<string, string>> => ({
  NotBefore: maintenanceDate(event.notBefore),
  Code: event.code,
  Description: event.description,
  EventId: event.id,
  NotAfter: maintenanceDate(event.notAfter),
  State: event.state,
});

/** `21 Jan 2019 09:00:43 GMT`: the only place in IMDS with dates of this form. */
const maintenanceDate = (at: WallTime): string => new Date(at).toUTCString().replace(/^\w+, /, '');

function iam({ account, role, credentials }: Metadata): Tree {
  return {
    info: () =>
      json({
        Code: 'Success',
        LastUpdated: seconds(credentials().issuedAt),
        InstanceProfileArn: `arn:aws:iam::${account}:instance-profile/${role}`,
        InstanceProfileId: 'AIPAC0FFEE0C0FFEE0LOC',
      }),
    'security-credentials': {
      [role]: () => {
        const { accessKeyId, secretAccessKey, token, issuedAt, expiresAt } = credentials();
        return json({
          Code: 'Success',
          LastUpdated: seconds(issuedAt),
          Type: 'AWS-HMAC',
          AccessKeyId: accessKeyId,
          SecretAccessKey: secretAccessKey,
          Token: token,
          Expiration: seconds(expiresAt),
        });
      },
    },
  };
}

function networkInterface({ instance, site, account }: Metadata): Tree {
  return {
    'device-number': '0',
    'interface-id': `eni-${instance.id.slice(2)}`,
    'local-hostname': hostname(instance, site),
    'local-ipv4s': instance.privateIp,
    mac: instance.mac,
    'owner-id': account,
    'security-group-ids': 'sg-0c0ffee0c0ffee001',
    'security-groups': 'default',
    'subnet-id': subnetId(site, instance.zone),
    'subnet-ipv4-cidr-block': `10.0.${site.zones.indexOf(instance.zone) * 16}.0/20`,
    'vpc-id': vpcId,
    'vpc-ipv4-cidr-block': '10.0.0.0/16',
    'vpc-ipv4-cidr-blocks': '10.0.0.0/16',
  };
}

/** Live, as on Nitro instances; without any tag there is no such category. */
function tags(instance: Instance): Tree | undefined {
  const now = truth(instance.tags);
  return Object.keys(now).length === 0 ? undefined : { instance: now };
}

function identityDocument({ account, instance, site }: Metadata): string {
  return json({
    accountId: account,
    architecture: 'x86_64',
    availabilityZone: instance.zone,
    billingProducts: null,
    devpayProductCodes: null,
    marketplaceProductCodes: null,
    imageId: instance.imageId,
    instanceId: instance.id,
    instanceType: instance.type,
    kernelId: null,
    pendingTime: seconds(instance.launchedAt),
    privateIp: instance.privateIp,
    ramdiskId: null,
    region: site.region,
    version: '2017-09-30',
  });
}

const json = (value: Readonly<Record<string, unknown>>): string => JSON.stringify(value, null, 2);

/** Entries of one maintenance event, with AWS's wording of what will happen. */
export function maintenanceEvent(of: {
  readonly id: string;
  readonly code: MaintenanceEvent['code'];
  readonly notBefore: WallTime;
  readonly lastsMs: number;
}): MaintenanceEvent {
  const descriptions: Readonly<Record<MaintenanceEvent['code'], string>> = {
    'instance-reboot': 'The instance is scheduled for a reboot',
    'system-reboot': 'The instance is scheduled for a system reboot',
    'system-maintenance': 'The instance is scheduled for system maintenance',
    'instance-retirement': 'The instance is running on degraded hardware',
    'instance-stop': 'The instance is running on degraded hardware',
  };
  const { id, code, notBefore, lastsMs } = of;
  return {
    id,
    code,
    description: descriptions[code],
    notBefore,
    notAfter: wallTime(notBefore + lastsMs),
    state: 'active',
  };
}
