import { equal, notEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { simulate } from './simulation.ts';

/** `LEASE_SEED=13 node --test test/lease/simulation.test.ts` plays one again. */
const only = process.env['LEASE_SEED'];
const first = Number(only ?? 1);

for (const deletes of [false, true]) {
  const seeds = only !== undefined ? 1 : deletes ? 150 : 350;
  const faults = deletes ? 'pauses, cuts, lost answers and deletions' : 'pauses, cuts and lost answers';
  test(`[L14] ${seeds} clusters with ${faults} commit in the order of epochs, and find a holder after`, async () => {
    const sums = { commits: 0, epochs: 0, refused: 0, settledMs: 0 };
    for (let seed = first; seed < first + seeds; seed += 1) {
      const outcome = await simulate(seed, deletes).catch((error: unknown) => {
        throw new Error(`LEASE_SEED=${seed}, deletes ${deletes}`, { cause: error });
      });
      sums.commits += outcome.commits;
      sums.epochs += outcome.epochs;
      sums.refused += outcome.refused;
      sums.settledMs = Math.max(sums.settledMs, outcome.settledMs);
    }
    ok(only !== undefined || sums.epochs > 3 * seeds, `the lease changes hands: ${JSON.stringify(sums)}`);
    ok(only !== undefined || sums.refused > 0, `the fence is needed: ${JSON.stringify(sums)}`);
  });
}

test('[L14] the same seed plays the same cluster', async () => {
  const [one, two, other] = [await simulate(7, true), await simulate(7, true), await simulate(8, true)];
  equal(one.digest, two.digest);
  notEqual(one.digest, other.digest);
});
