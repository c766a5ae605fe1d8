/** Reads what the EC2 operations have in common from their fields: ids, whole numbers, flags, pages. */
import { AwsError } from '../wire/aws-error.ts';
import { listed, type Fields } from '../wire/query-api.ts';
import { invalidCombination, invalidValue, malformedInstance } from './refusals.ts';

/** null: not given. */
export function wholeNumber(
  fields: Fields,
  name: string,
  range: { readonly min: number; readonly max: number },
): number | null {
  const text = fields.get(name);
  if (text === undefined) return null;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= range.min && value <= range.max))
    throw invalidValue(`Value ( ${text} ) for parameter ${name} is invalid.`);
  return value;
}

export const flag = (fields: Fields, name: string): boolean => fields.get(name) === 'true';

/** The instance ids under `name.1`, …: seventeen hex digits, or the eight of the first years. */
export function instanceIds(fields: Fields, name: string): readonly string[] {
  const ids = [...new Set(listed(fields, name))];
  for (const id of ids) if (!/^i-([0-9a-f]{8}|[0-9a-f]{17})$/.test(id)) throw malformedInstance(id);
  return ids;
}

/** EC2's bounds of MaxResults, from the SDK's documentation. */
const pageRange = { min: 5, max: 1_000 };

/**
 * One page of `items` in the order of their keys, and the token of the next; without MaxResults everything. A page
 * begins after the last key of the one before, so that what comes or goes between two pages doubles nothing.
 */
export function page<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  fields: Fields,
  range = pageRange,
): { readonly items: readonly T[]; readonly nextToken: string | undefined } {
  const max = wholeNumber(fields, 'MaxResults', range);
  const token = fields.get('NextToken') ?? '';
  const after = token === '' ? '' : keyOfToken(token);
  const rest = items.filter((item) => keyOf(item) > after).sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  const shown = max === null ? rest : rest.slice(0, max);
  const last = shown.at(-1);
  const more = shown.length < rest.length && last !== undefined;
  return { items: shown, nextToken: more ? tokenOfKey(keyOf(last)) : undefined };
}

/** Ids say exactly what is wanted, pages say how much of it: EC2 refuses both together. */
export function refuseIdsWithPages(fields: Fields, ids: readonly string[]): void {
  if (ids.length > 0 && fields.has('MaxResults'))
    throw invalidCombination('The parameter instancesSet cannot be used with the parameter maxResults');
}

const tokenOfKey = (key: string): string => Buffer.from(`page:${key}`).toString('base64url');

function keyOfToken(token: string): string {
  const text = Buffer.from(token, 'base64url').toString();
  if (!text.startsWith('page:')) throw new AwsError(400, 'InvalidNextToken', 'The token is not valid.');
  return text.slice('page:'.length);
}
