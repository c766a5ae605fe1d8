/** The keys of a bucket in the order S3 lists them: by the bytes of their UTF-8. */

export type SortedKeys = string[];

/** UTF-8 sorts as code points do, and UTF-16 does not: a surrogate is smaller than U+E000..U+FFFF but stands for more. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const x = a.charCodeAt(at);
    const y = b.charCodeAt(at);
    if (x === y) continue;
    const surrogates = Number(isSurrogate(x)) - Number(isSurrogate(y));
    return surrogates === 0 ? x - y : surrogates;
  }
  return a.length - b.length;
}

export function addKey(keys: SortedKeys, key: string): void {
  const at = firstNot(keys, (other) => compareKeys(other, key) < 0);
  if (keys[at] !== key) keys.splice(at, 0, key);
}

export function removeKey(keys: SortedKeys, key: string): void {
  const at = firstNot(keys, (other) => compareKeys(other, key) < 0);
  if (keys[at] === key) keys.splice(at, 1);
}

/** The index of the first key for which `holds` is false; it must hold for a beginning of the list and no more. */
export function firstNot(keys: readonly string[], holds: (key: string) => boolean, from = 0): number {
  let low = from;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(keys[middle]!)) low = middle + 1;
    else high = middle;
  }
  return low;
}

const isSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdfff;
