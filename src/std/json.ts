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
