/**
 * The simulated engine against what the real vLLM did: the argument that tests on the simulated engine say anything
 * about the real one. The real one itself is asked again by `npm run e2e:vllm -- --suite conformance`.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { judge, wantedDifferences } from './differences.ts';
import { EngineProcess } from './engine-process.ts';
import { contextTokens, endings, exchanges, flagsOf } from './exchanges.ts';
import { differencesOf } from './play.ts';
import { recordedNames, recordingOf } from './recordings.ts';
import type { Json } from './shape.ts';
import { simulated } from './targets.ts';

async function assertAsRecorded(name: string, play: () => Promise<Json>): Promise<void> {
  const { faults, outdated } = judge(name, await differencesOf(name, play, await recordingOf(name)));
  assert.deepEqual(faults, [], 'differs from the recording');
  assert.deepEqual(outdated, [], 'listed as a wanted difference, and no longer one');
}

for (const kind of ['plain', 'scale-out'] as const)
  void describe(`the simulated engine (${kind}) answers as vLLM does`, () => {
    let engine: EngineProcess;
    before(async () => {
      engine = await EngineProcess.serving(simulated, flagsOf[kind]);
    });
    after(() => engine.end());
    for (const exchange of exchanges.filter((one) => one.engine === kind))
      void test(exchange.name, () =>
        assertAsRecorded(exchange.name, () => exchange.play(engine.talk(contextTokens))),
      );
  });

void describe('the simulated engine ends as vLLM does', { concurrency: 3 }, () => {
  for (const ending of endings)
    void test(ending.name, { timeout: 120_000 }, () =>
      assertAsRecorded(ending.name, () => ending.observe(simulated)),
    );
});

void test('every recording belongs to an exchange of the list, and every wanted difference too', async () => {
  const names = [...exchanges, ...endings].map(({ name }) => name).sort();
  assert.deepEqual([...(await recordedNames())].sort(), names);
  assert.equal(new Set(names).size, names.length);
  for (const { exchange } of wantedDifferences) assert.ok(names.includes(exchange), exchange);
});
