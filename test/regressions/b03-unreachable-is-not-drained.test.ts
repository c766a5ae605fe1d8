/**
 * B3: the engine's address was wrong, every call for metrics failed, a failed call counted as no requests, and a drain
 * was over at once with requests in flight.
 */
import { equal, ok } from 'node:assert/strict';
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { isIdle } from '../../src/engine/stage.ts';
import { openExternalEngine } from '../../src/engines/external.ts';
import { Bench, Daemon, hurried, until } from '../engines/bench.ts';

const untouched = { wedgedMs: 600_000 };

for (const metrics of ['error', 'garbage', 'cut', 'silence']) {
  test(`[B3] an engine with requests in flight whose metrics end in ${metrics} is not idle`, async () => {
    const bench = new Bench();
    try {
      const daemon = await bench.daemon(bench.spec(), { ...untouched, answerMs: 300 }).ready();
      await daemon.ask('/behave', { metrics: 'busy' });
      await until(
        () => daemon.status().load?.running === 2,
        () => 'its two requests are seen',
      );
      await daemon.ask('/behave', { metrics });
      await until(
        () => daemon.status().load === null,
        () => 'its load is unknown',
      );
      const samples = (): number => daemon.effects.filter((effect) => effect.type === 'sample').length;
      const enough = samples() + 3;
      await until(
        () => {
          equal(isIdle(daemon.status()), false);
          return samples() >= enough;
        },
        () => 'three more looks at it',
      );
      await daemon.ask('/behave', { metrics: 'good' });
      await until(
        () => isIdle(daemon.status()),
        () => 'idle once it says so itself',
      );
    } finally {
      await bench.clear();
    }
  });
}

test('[B3] an engine at a wrong address is neither ready nor idle', async () => {
  const nobody = createServer().listen(0, '127.0.0.1');
  await once(nobody, 'listening');
  const { port } = nobody.address() as AddressInfo;
  nobody.close();
  const daemon = new Daemon(openExternalEngine(`http://127.0.0.1:${port}`), { ...hurried, readyMs: 100 });
  try {
    daemon.tell({ type: 'start' });
    await until(
      () => daemon.facts('engine.failed').length > 0,
      () => daemon.phase,
    );
    ok(daemon.status().phase !== 'ready');
    equal(isIdle(daemon.status()), false);
  } finally {
    await daemon.crash();
  }
});
