/** JSON from outside, where text that is none is an expected thing to hear: what it means is the caller's to say. */

/** An object that was parsed. Of its fields nothing is known. */
export type Json = { readonly [field: string]: unknown };

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** undefined: not JSON. Never throws. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Not a value of JSON, so it cannot be taken for one that was sent.
  }
}

/** null: not JSON, or no object. Never throws. */
export function parseObject(text: string): Json | null {
  const value = parseJson(text);
  return isObject(value) ? value : null;
}

/**
 * The text of an object that has at least one field, with these besides or instead. All else stays as it was written: who
 * reads numbers and writes them again makes other texts of them (`1.0`, 9223372036854775807), and a model may read the text.
 * Of two fields of one name readers take the last, as JavaScript and Python do.
 */
export function withFields(text: string, fields: Json): string {
  const added = JSON.stringify(fields);
  if (added === '{}') return text;
  const end = text.lastIndexOf('}');
  return `${text.slice(0, end)},${added.slice(1)}`;
}
