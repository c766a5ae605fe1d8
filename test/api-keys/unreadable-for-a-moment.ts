/**
 * A node that has few descriptors, and none left just when the list of its API keys has changed:
 *
 *   node unreadable-for-a-moment.ts FILE CHANGED AUTHORIZATION
 *
 * Prints what it said, as one line of JSON, once the new list lets that one in.
 */
import { closeSync, writeFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { openApiKeys } from '../../src/api-keys.ts';
import type { Fact } from '../../src/node/facts.ts';
import { allDescriptors } from '../lab/descriptors.ts';

const [path = '', changed = '', authorization = ''] = process.argv.slice(2);
const facts: Fact[] = [];
const ports = { cluster: 'blue', readParameter: null, report: (fact: Fact) => void facts.push(fact) };
const keys = await openApiKeys({ from: 'file', path }, ports);

writeFileSync(path, changed);
const taken = allDescriptors();
// How the file stands can be asked without a descriptor, what is in it cannot.
await keys.reload();
for (const descriptor of taken) closeSync(descriptor);
const end = performance.now() + 30_000;
while (keys.table()?.holderOf({ authorization }) == null) {
  if (performance.now() > end) throw new Error(`never read again: ${JSON.stringify(facts)}`);
  await wait(10);
}
keys.close();
console.log(JSON.stringify(facts));
