/**
 * Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights after Schindelhauer and Schomaker 2005): all who
 * know the same members rank them alike for a key, without a word between them. A member that comes takes its share
 * from all others alike, one that goes leaves its share to all others alike, and a weight that grows only draws keys.
 */

/** Positive; the member with the highest is the first for this key. `weight`: above 0, 1 is usual. */
export function rankOf(key: number, member: number, weight: number): number {
  const mixed = mix(mix((key % 2 ** 32) ^ member) ^ Math.floor(key / 2 ** 32));
  const uniform = ((mixed >>> 0) + 1) / (2 ** 32 + 1);
  return -weight / Math.log(uniform);
}

/** A number for a name, to be computed once (FNV-1a, finished by a mixing step). */
export function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/** The finalizer of MurmurHash3. */
function mix(value: number): number {
  let z = value | 0;
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
  return (z ^ (z >>> 16)) >>> 0;
}
