/**
 * `Filter.n.Name` / `Filter.n.Value.m`: values of one filter are alternatives, filters narrow each other; `*` and `?`
 * are wildcards, case counts (EC2 user guide, "List and filter using the CLI and API").
 */
import { records, listed, type Fields } from '../wire/query-api.ts';
import { fits } from '../wildcard.ts';
import type { TagSet } from '../instances/tags.ts';
import { invalidValue } from './refusals.ts';

type Filter = { readonly name: string; readonly values: readonly string[] };

/** EC2 takes at most 200 values in one request. */
const valuesMax = 200;

export function filters(fields: Fields): readonly Filter[] {
  const all = records(fields, 'Filter').map((filter) => ({
    name: filter.get('Name') ?? '',
    values: listed(filter, 'Value'),
  }));
  for (const { name, values } of all)
    if (values.length === 0) throw invalidValue(`The filter '${name}' must have at least one value`);
  if (all.reduce((sum, { values }) => sum + values.length, 0) > valuesMax)
    throw invalidValue(`The maximum number of filter values specified on a single call is ${valuesMax}`);
  return all;
}

/** What a filter's name stands for in one item: its values, or null for a name that there is not. */
export type Attributes = (name: string) => readonly string[] | null;

export const passes = (wanted: readonly Filter[], attributes: Attributes): boolean =>
  wanted.every(({ name, values }) => {
    const has = attributes(name);
    if (has === null) throw invalidValue(`The filter '${name}' is invalid`);
    return values.some((pattern) => has.some((value) => fits(pattern, value)));
  });

/** `tag:<key>`, `tag-key`, `tag-value`; null: the name is none of them. */
export function tagAttribute(tags: TagSet, name: string): readonly string[] | null {
  if (name === 'tag-key') return Object.keys(tags);
  if (name === 'tag-value') return Object.values(tags);
  if (!name.startsWith('tag:')) return null;
  const key = name.slice('tag:'.length);
  return Object.hasOwn(tags, key) ? [tags[key]!] : [];
}
