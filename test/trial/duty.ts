/**
 * One candidate for one duty, as a process of its own beside a daemon: it takes the lease when its turn comes, and
 * commits what it did again and again while it holds it. Each commit is a line on stdout. SIGTERM lets go of the
 * lease and ends it.
 *
 *   node duty.ts DATA_DIR SELF IMDS_ENDPOINT AWS_ENDPOINT REGION BUCKET TTL_MS
 */
import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { roleCredentials } from '../../src/aws/credentials.ts';
import { openImds } from '../../src/aws/imds.ts';
import { openLeaseStore } from '../../src/aws/leases.ts';
import { connectControl } from '../../src/control/client.ts';
import { rankOf } from '../../src/lease/rank.ts';
import { Holding } from '../../src/node/holding.ts';
import { systemClock as clock } from '../../src/os/clock.ts';
import { Failure } from '../../src/std/failure.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';

const duty = 'trial';
/** Between two commits, ms. */
const workMs = 100;
const commitMs = 5_000;
const releaseMs = 5_000;
/** Between two looks at who lives, ms. */
const rankMs = 500;

const [dataDir = '', name = '', imdsEndpoint = '', endpoint = '', region = '', bucket = '', ttl = ''] =
  process.argv.slice(2);
const self = memberId(name);
const run = randomUUID();
const imds = openImds(imdsEndpoint);
const store = openLeaseStore({ bucket, endpoint, region, credentials: roleCredentials(imds, clock) });
const say = (line: object): void => void process.stdout.write(`${JSON.stringify({ run, ...line })}\n`);
const holding = new Holding(
  { duty, self, run, ttlMs: Number(ttl), rank: await rank() },
  { clock, store, rng: { seed: randomInt(2 ** 32) }, report: say },
);
let isLeaving = false;
process.once('SIGTERM', () => (isLeaving = true));

await Promise.all([work(), follow()]);
try {
  await holding.release(AbortSignal.timeout(releaseMs));
} catch (error) {
  unlessFailure(error);
}
holding.close();
await imds.close();
process.exit(0);

/** Its place among the members that its own daemon holds alive; without an answer nobody comes before it. */
async function rank(): Promise<number> {
  let alive: readonly MemberId[] = [];
  try {
    const members = await connectControl(dataDir).members();
    alive = members.filter(({ health }) => health === 'alive').map(({ id }) => memberId(id));
  } catch (error) {
    unlessFailure(error);
  }
  return rankOf(duty, self, alive);
}

async function follow(): Promise<void> {
  while (!isLeaving) {
    holding.rank(await rank());
    await pause(rankMs);
  }
}

async function work(): Promise<void> {
  for (let n = 1; !isLeaving; n++) {
    const epoch = holding.holds()?.epoch;
    if (epoch !== undefined) await commit(epoch, `${run} ${n}`);
    await pause(workMs);
  }
}

async function commit(epoch: number, content: string): Promise<void> {
  const from = Date.now();
  try {
    const { type } = await holding.commit(content, AbortSignal.timeout(commitMs));
    say({ commit: type, epoch, from, to: Date.now() });
  } catch (error) {
    unlessFailure(error);
    say({ commit: 'failed', epoch, from, to: Date.now() });
  }
}

function unlessFailure(error: unknown): void {
  if (!(error instanceof Failure)) throw error;
}
