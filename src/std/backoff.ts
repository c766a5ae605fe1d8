import { draw, type Rng } from './random.ts';

/**
 * Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): uniform in
 * [0, min(capMs, baseMs * 2^attempt)), so that many who failed together do not come back together.
 */
export function backoffMs(
  options: { readonly attempt: number; readonly baseMs: number; readonly capMs: number },
  rng: Rng,
): [ms: number, next: Rng] {
  const ceiling = Math.min(options.capMs, options.baseMs * 2 ** Math.min(options.attempt, 30));
  return draw(rng, Math.max(1, Math.floor(ceiling)));
}
