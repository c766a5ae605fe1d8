/**
 * DescribeSpotPriceHistory over made-up prices: per type and zone a price that changes every few hours around 40 % of
 * on-demand, the same for the same seed. Like EC2 it answers with changes, newest first, and with the price that was
 * already in force when the asked time began; 90 days are kept.
 */
import { draw } from '../../std/random.ts';
import { wallTime, type WallTime } from '../../std/time.ts';
import { listed, type Fields, type QueryOperation } from '../wire/query-api.ts';
import { page } from './arguments.ts';
import { filters, passes } from './filters.ts';
import { invalidValue } from './refusals.ts';
import type { Ec2World } from './world.ts';

/** On-demand, US dollars an hour, us-east-1, Linux (July 2026). */
const onDemand: Readonly<Record<string, number>> = {
  'g4dn.xlarge': 0.526,
  'g4dn.12xlarge': 3.912,
  'g5.xlarge': 1.006,
  'g5.2xlarge': 1.212,
  'g5.12xlarge': 5.672,
  'g5.48xlarge': 16.288,
  'g6.xlarge': 0.8048,
  'g6.2xlarge': 0.9776,
  'g6.12xlarge': 4.6016,
  'g6e.xlarge': 1.861,
  'g6e.12xlarge': 10.4926,
  'p4d.24xlarge': 21.9576,
  'p5.4xlarge': 6.88,
  'p5.48xlarge': 55.04,
};
const product = 'Linux/UNIX';
const keptMs = 90 * 86_400_000;
const changeEveryMs = 6 * 3_600_000;
/** Of on-demand, in hundredths: lowest price, and how far above it prices reach. */
const priceFloor = 30;
const priceSpread = 25;

type Price = {
  readonly type: string;
  readonly zone: string;
  readonly price: string;
  readonly at: WallTime;
};

export const describeSpotPriceHistory =
  (world: Ec2World): QueryOperation =>
  (fields) => {
    const now = world.wallNow();
    const since = time(fields, 'StartTime') ?? wallTime(now - keptMs);
    const until = time(fields, 'EndTime') ?? now;
    const wanted = filters(fields);
    const types = chosen(Object.keys(onDemand), listed(fields, 'InstanceType'));
    const zones = chosen([...world.site.zones], [fields.get('AvailabilityZone') ?? ''].filter(Boolean));
    const offered = chosen([product], listed(fields, 'ProductDescription'));
    const from = wallTime(Math.max(since, now - keptMs));
    const to = wallTime(Math.min(until, now));
    const rows = offered
      .flatMap(() => types.flatMap((type) => zones.map((zone) => ({ type, zone }))))
      .flatMap((market) => history(world.seed, { ...market, from, to }))
      .filter((row) => passes(wanted, (name) => attribute(row, name)));
    // A descending key, so that pages run from the newest to the oldest.
    const newestFirst = ({ at, type, zone }: Price): string => `${(9e15 - at).toFixed(0)} ${type} ${zone}`;
    const { items, nextToken } = page(rows, newestFirst, fields, { min: 1, max: 1_000 });
    const item = items.map(({ type, zone, price, at }) => ({
      instanceType: type,
      productDescription: product,
      spotPrice: price,
      timestamp: new Date(at).toISOString(),
      availabilityZone: zone,
    }));
    return { spotPriceHistorySet: { item }, nextToken: nextToken ?? '' };
  };

/** The changes after `from` up to `to`, and the one that was in force at `from`. */
function history(
  seed: number,
  market: { readonly type: string; readonly zone: string; readonly from: WallTime; readonly to: WallTime },
): readonly Price[] {
  const { type, zone, from, to } = market;
  const key = [...`${type} ${zone}`].reduce((sum, char) => Math.imul(sum, 31) + char.charCodeAt(0), seed);
  const [phase] = draw({ seed: key >>> 0 }, changeEveryMs);
  const first = Math.floor((from - phase) / changeEveryMs);
  const last = Math.floor((to - phase) / changeEveryMs);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, step) => {
    const [cents] = draw({ seed: (key ^ Math.imul(first + step, 0x9e3779b1)) >>> 0 }, priceSpread);
    const price = ((onDemand[type]! * (priceFloor + cents)) / 100).toFixed(6);
    return { type, zone, price, at: wallTime((first + step) * changeEveryMs + phase) };
  });
}

/** All there are, or those of them that were asked for. */
const chosen = (all: readonly string[], asked: readonly string[]): readonly string[] =>
  asked.length === 0 ? all : all.filter((one) => asked.includes(one));

function time(fields: Fields, name: string): WallTime | null {
  const text = fields.get(name);
  if (text === undefined) return null;
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw invalidValue(`Invalid value '${text}' for ${name}`);
  return wallTime(at);
}

function attribute(row: Price, name: string): readonly string[] | null {
  const fixed: Readonly<Record<string, string>> = {
    'availability-zone': row.zone,
    'instance-type': row.type,
    'product-description': product,
    'spot-price': row.price,
    timestamp: new Date(row.at).toISOString(),
  };
  return Object.hasOwn(fixed, name) ? [fixed[name]!] : null;
}
