import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { gaugesOf } from '../../src/node/operate.ts';
import type { EngineStatus, Life } from '../../src/registry/record.ts';

type Shown = Parameters<typeof gaugesOf>[0];

/** What the gauges see of a node. */
const nodeIn = (life: Life, engine: EngineStatus, others: readonly string[]): Shown =>
  ({
    cluster: { own: () => ({ life, engine }), members: () => others.map((health) => ({ health })) },
    engine: null,
  }) as unknown as Shown;

const valuesOf = (node: Shown, wanted: string, label = 'phase'): Readonly<Record<string, number>> =>
  Object.fromEntries(
    gaugesOf(node).flatMap(({ name, labels, value }) => (name === wanted ? [[labels[label], value]] : [])),
  );

test('the phase of the node and of its engine is 1 in one series and 0 in all others', () => {
  const life: Life = { phase: 'draining', reason: 'signal', deadline: 1 };
  const node = nodeIn(life, { phase: 'starting', models: [], contextTokens: null }, []);
  deepEqual(valuesOf(node, 'synkti_node_phase'), { joining: 0, serving: 0, draining: 1, left: 0 });
  deepEqual(valuesOf(node, 'synkti_engine_phase'), { none: 0, starting: 1, ready: 0, down: 0 });
});

test('members are counted by health, this node among the living, and a health that none has is 0', () => {
  const node = nodeIn({ phase: 'serving' }, { phase: 'none' }, ['alive', 'dead', 'dead']);
  const none = { unknown: 0, suspect: 0, left: 0 };
  deepEqual(valuesOf(node, 'synkti_members', 'health'), { ...none, alive: 2, dead: 2 });
});
