/**
 * How long the prompt of a request may be, before any engine has read it: its words, in whatever field they stand. A
 * picture or a recording has as many tokens as its engine makes of it, and the length of its bytes says nothing of that.
 */
import { isObject } from '../std/json.ts';

export const charactersPerToken = 4;

/** Where no API takes words, but addresses or bytes. */
const links: ReadonlySet<string> = new Set(['url', 'image_url', 'file_data']);

/** Characters; an id counts as the usual token does. */
export function charactersOf(value: unknown): number {
  if (typeof value === 'string') return value.length;
  let sum = 0;
  if (Array.isArray(value)) {
    for (const part of value) sum += typeof part === 'number' ? charactersPerToken : charactersOf(part);
    return sum;
  }
  if (!isObject(value)) return 0;
  for (const name in value) {
    const said = value[name];
    const isBytes =
      name === 'input_audio' ||
      (name === 'data' && value['type'] === 'base64') ||
      (links.has(name) && typeof said === 'string' && said.startsWith('data:'));
    if (!isBytes) sum += name.length + charactersOf(said);
  }
  return sum;
}
