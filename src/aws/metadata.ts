/**
 * What the instance metadata says, read into types once. Parsing is lenient where emulators and older instances
 * differ (white space, missing parts), but an answer that makes no sense is a Failure, never "nothing there".
 */
import { z } from 'zod';
import type { ReadNotice } from '../node/ports.ts';
import type { Maintenance, Path, Reading } from '../spot/notices.ts';
import { Failure } from '../std/failure.ts';
import { wallTime, type WallTime } from '../std/time.ts';
import type { Imds } from './imds.ts';

const documentSchema = z.object({
  instanceId: z.string().min(1),
  region: z.string().min(1),
  availabilityZone: z.string().min(1),
  privateIp: z.string().min(1),
});

type Instance = {
  readonly instanceId: string;
  readonly zone: string;
  readonly region: string;
  readonly privateIp: string;
};

/** Failure `missing` where there is no instance identity: this is not an EC2 instance, or not one of ours. */
export async function identify(imds: Imds, signal: AbortSignal): Promise<Instance> {
  const path = 'dynamic/instance-identity/document';
  const text = await imds.read(path, 'rest', signal);
  if (text === null) throw new Failure('missing', 'imds: missing: no instance identity document');
  const { availabilityZone: zone, ...document } = fromJson(path, text, documentSchema);
  return { ...document, zone };
}

/** null: it has no such tag, or shows none (InstanceMetadataTags is off). */
export async function clusterTag(imds: Imds, signal: AbortSignal): Promise<string | null> {
  const text = await imds.read('meta-data/tags/instance/SynktiCluster', 'rest', signal);
  return text?.trim() || null;
}

const where: Readonly<Record<Path, string>> = {
  'instance-action': 'meta-data/spot/instance-action',
  rebalance: 'meta-data/events/recommendations/rebalance',
  maintenance: 'meta-data/events/maintenance/scheduled',
  lifecycle: 'meta-data/autoscaling/target-lifecycle-state',
};

export const noticesFrom =
  (imds: Imds): ReadNotice =>
  async (path, signal) => {
    const text = await imds.read(where[path], path === 'instance-action' ? 'notices' : 'rest', signal);
    return text === null ? null : readingFrom(path, text);
  };

/** A notice without a time that can be read still is one: it then lasts as long as a notice can. */
const noTime = wallTime(Infinity);

const actionSchema = z.object({ action: z.string().min(1), time: z.string().optional() });
const rebalanceSchema = z.object({ noticeTime: z.string().optional() });
const maintenanceSchema = z.array(
  z.object({ Code: z.string(), NotBefore: z.string(), State: z.string().default('active') }),
);

function readingFrom(path: Path, text: string): Reading {
  switch (path) {
    case 'instance-action': {
      const { action, time } = fromJson(path, text, actionSchema);
      return { path, action: action.trim(), time: timeFrom(time) };
    }
    case 'rebalance':
      return { path, noticeTime: timeFrom(fromJson(path, text, rebalanceSchema).noticeTime) };
    case 'lifecycle':
      return { path, target: text.trim() };
    case 'maintenance':
      return { path, events: fromJson(path, text, maintenanceSchema).map(maintenanceFrom) };
  }
}

const maintenanceFrom = ({
  Code,
  NotBefore,
  State,
}: z.infer<typeof maintenanceSchema>[number]): Maintenance => ({
  code: Code,
  notBefore: timeFrom(NotBefore),
  active: State.trim().toLowerCase() === 'active',
});

/** ISO 8601 for notices, "21 Jan 2019 09:00:43 GMT" for maintenance. */
function timeFrom(text: string | undefined): WallTime {
  const ms = Date.parse(text?.trim() ?? '');
  return Number.isNaN(ms) ? noTime : wallTime(ms);
}

function fromJson<T>(path: string, text: string, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new Failure('invalid', `imds ${path}: invalid: not what AWS documents`, error);
  }
}
