/** An instance with its metadata service on a real socket, and the node's watch over it on the real clock. */
import { openImds } from '../../src/aws/imds.ts';
import { noticesFrom } from '../../src/aws/metadata.ts';
import type { DrainReason } from '../../src/drain/drain.ts';
import type { Fact } from '../../src/node/facts.ts';
import { Leaving } from '../../src/node/leaving.ts';
import { systemClock } from '../../src/os/clock.ts';
import { FakeImds } from '../aws/fake-imds.ts';

export const actionPath = 'meta-data/spot/instance-action';

export type Watched = {
  readonly imds: FakeImds;
  readonly leaving: Leaving;
  readonly facts: Fact[];
  /** Each drain that was announced; `deadline` in epoch ms. */
  readonly announced: { readonly reason: DrainReason; readonly deadline: number }[];
  notice(action: string, inMs: number): void;
};

/** One generation runs here for ever, so that a drain that began is still to be seen. */
export async function watched(run: (instance: Watched) => Promise<void>): Promise<void> {
  await using fake = await FakeImds.start();
  const imds = openImds(fake.endpoint);
  const facts: Fact[] = [];
  const announced: Watched['announced'] = [];
  const leaving = new Leaving({
    clock: systemClock,
    readNotice: noticesFrom(imds),
    load: () => ({ generations: 1, relays: 0 }),
    stopEngine: () => Promise.resolve(),
    sayGoodbye: () => Promise.resolve(),
    report: (fact) => facts.push(fact),
  });
  leaving.announced.add((reason, deadline) => announced.push({ reason, deadline }));
  leaving.watch();
  const notice = (action: string, inMs: number): void => {
    const time = new Date(Date.now() + inMs).toISOString();
    fake.tree.set(actionPath, JSON.stringify({ action, time }));
  };
  try {
    await run({ imds: fake, leaving, facts, announced, notice });
  } finally {
    leaving.stop();
    await imds.close();
  }
}

/** Resolves with the milliseconds that it took; rejects with what was waited for when it does not come true in time. */
export async function until(what: string, holds: () => boolean, withinMs: number): Promise<number> {
  const started = performance.now();
  while (!holds()) {
    if (performance.now() - started > withinMs) throw new Error(`never within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return performance.now() - started;
}
