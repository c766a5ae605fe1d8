/** Draws up instances before they exist: ids, zones and addresses, all from one seed. */
import { assert } from '../../std/assert.ts';
import { draw, type Rng } from '../../std/random.ts';
import type { Fleet } from './fleet.ts';
import { isHeld, type Blueprint } from './instance.ts';

export type Site = {
  readonly region: string;
  /** In the order in which instances take turns: instance i is in zone i modulo their number. */
  readonly zones: readonly string[];
};

export type LaunchRequest = Pick<
  Blueprint,
  'type' | 'imageId' | 'lifecycle' | 'clientToken' | 'group' | 'tags'
> & {
  /** null: in turn. */
  readonly zone: string | null;
};

/** A launch without a zone goes to the next one in turn that is not in `outages`; null: there is none. */
export function drawUp(
  from: { readonly fleet: Fleet; readonly site: Site; readonly outages: ReadonlySet<string> },
  request: LaunchRequest & { readonly count: number },
  rng: Rng,
): readonly [blueprints: readonly Blueprint[] | null, next: Rng] {
  const { count, zone, ...fixed } = request;
  const held = [...from.fleet.instances.values()].filter(isHeld);
  const indices = freeIndices(new Set(held.map(({ index }) => index)), count);
  const [reservation, afterReservation] = hex(rng, 17);
  const addresses = new Set(held.map(({ privateIp }) => privateIp));
  let next = afterReservation;
  const blueprints: Blueprint[] = [];
  for (const index of indices) {
    const placed = zone ?? inTurn(from.site.zones, index, from.outages);
    if (placed === null || from.outages.has(placed)) return [null, next];
    const [id, afterId] = hex(next, 17);
    const [mac, afterMac] = hex(afterId, 10);
    const privateIp = freeAddress(from.site.zones.indexOf(placed), addresses);
    addresses.add(privateIp);
    next = afterMac;
    blueprints.push({
      ...fixed,
      id: `i-${id}`,
      index,
      reservationId: `r-${reservation}`,
      zone: placed,
      privateIp,
      mac: `0a:${mac.match(/../g)?.join(':')}`,
    });
  }
  return [blueprints, next];
}

/** `us-east-1a` -> `use1-az1`: how AWS names the same zone in every account. */
export function zoneId(site: Site, zone: string): string {
  const [area = '', quarter = '', number = ''] = site.region.split('-');
  const short = quarter.match(/^(north|south|east|west|central)?(.*)$/);
  const initials = `${short?.[1]?.[0] ?? ''}${short?.[2]?.[0] ?? ''}`;
  return `${area}${initials}${number}-az${site.zones.indexOf(zone) + 1}`;
}

function freeIndices(taken: ReadonlySet<number>, count: number): readonly number[] {
  const free: number[] = [];
  for (let index = 0; free.length < count; index += 1) if (!taken.has(index)) free.push(index);
  return free;
}

function inTurn(zones: readonly string[], index: number, outages: ReadonlySet<string>): string | null {
  const turns = zones.map((_, turn) => zones[(index + turn) % zones.length]!);
  return turns.find((zone) => !outages.has(zone)) ?? null;
}

/** Each zone is a /20 of 10.0.0.0/16; the first four addresses of a subnet belong to AWS. */
function freeAddress(zoneIndex: number, taken: ReadonlySet<string>): string {
  const address = (host: number): string => `10.0.${zoneIndex * 16 + (host >> 8)}.${host & 255}`;
  let host = 4;
  while (taken.has(address(host))) host += 1;
  assert(host < 4_094, 'a subnet has room for more instances than an account may have');
  return address(host);
}

function hex(rng: Rng, digits: number): [text: string, next: Rng] {
  let text = '';
  let next = rng;
  while (text.length < digits) {
    const [nibble, after] = draw(next, 16);
    text += nibble.toString(16);
    next = after;
  }
  return [text, next];
}
