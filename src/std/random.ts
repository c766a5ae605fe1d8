/** A splitmix32 generator: its whole state is one u32, so it fits inside any machine's state and replays. */
export type Rng = { readonly seed: number };

/** Draws an integer in [0, bound) and returns it with the generator to use next. `bound` must be positive. */
export function draw(rng: Rng, bound: number): [value: number, next: Rng] {
  const seed = (rng.seed + 0x9e3779b9) >>> 0;
  let z = seed;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  z = (z ^ (z >>> 15)) >>> 0;
  return [Math.floor((z / 2 ** 32) * bound), { seed }];
}
