/**
 * Hashes by which nodes come to the same order or the same digest without a word between them, so none of these may
 * ever give another value. They withstand no adversary: what an attacker could gain by a collision needs a signature.
 */

const basis = 0x811c9dc5;
const prime = 0x01000193;

/** FNV-1a over the UTF-16 units, as a signed 32-bit integer. `from`: the hash of what comes before the text. */
export function fnv1a(text: string, from: number = basis): number {
  let hash = from | 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), prime);
  return hash;
}

/**
 * The finalizer of MurmurHash3, unsigned: every bit of the input moves about half of the bits of the output. Without it
 * the FNV-1a of names that differ in few characters are neighbours.
 */
export function scramble(value: number): number {
  let z = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
  return (z ^ (z >>> 16)) >>> 0;
}
