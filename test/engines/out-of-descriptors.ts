/**
 * A node that has few descriptors, adopts an engine, and runs out of them:
 *
 *   node out-of-descriptors.ts DATA_DIR NODE_ID SPEC
 *
 * Prints, as one line of JSON, what it said of that and what became of the engine.
 */
import { closeSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import type { Event } from '../../src/engine/orders.ts';
import { openEngineHost } from '../../src/engines/host.ts';
import type { EngineSpec } from '../../src/engines/spec.ts';
import type { Fact } from '../../src/node/facts.ts';
import { processes } from '../../src/os/processes.ts';
import { allDescriptors } from '../lab/descriptors.ts';

const [dataDir = '', nodeId = '', spec = ''] = process.argv.slice(2);
const facts: Fact[] = [];
const events: Event[] = [];
let looks = 0;
const startOf = (pid: number): string | null => {
  looks += 1;
  return processes.startOf(pid);
};
const host = openEngineHost({
  ...{ spec: JSON.parse(spec) as EngineSpec, nodeId, dataDir, inherited: {} },
  processes: { ...processes, startOf },
  report: (fact) => facts.push(fact),
});

async function until(holds: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 30_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`never: ${what} ${JSON.stringify({ facts, events })}`);
    await wait(5);
  }
}

const perform = (type: 'adopt' | 'terminate'): void =>
  host.perform({ type, life: 1 }, (event) => events.push(event));
const saysAgain = (what: string): boolean =>
  facts.some((said) => said.fact === 'engine.unhindered' && said['what'] === what);

perform('adopt');
await until(() => events.length === 1, 'adopted');
const taken = allDescriptors();
const from = looks;
await until(() => looks >= from + 4, 'four looks without a descriptor');
perform('terminate');
await until(() => facts.some((said) => said['what'] === 'kill'), 'not asked to go');
for (const descriptor of taken) closeSync(descriptor);
await until(() => saysAgain('watch'), 'sees again');
const untilHere = events.map(({ type }) => type);
perform('terminate');
await until(() => events.some(({ type }) => type === 'exited'), 'gone');
await host.release();
console.log(JSON.stringify({ facts, untilHere, events: events.map(({ type }) => type) }));
