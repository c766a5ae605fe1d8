/** What a person reads when the cluster is ready: where it is, and what to try. */
import type { DevNode } from './state.ts';

export function intro(of: {
  readonly nodes: readonly DevNode[];
  readonly readyMs: number;
  readonly model: string;
  /** How to call this program. */
  readonly synkti: string;
  /** What the other commands need to find this cluster. */
  readonly flags: string;
}): string {
  const { nodes, readyMs, model, synkti, flags } = of;
  const body = JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: 'Hello' }] });
  const last = nodes.at(-1)?.node ?? 1;
  const one = nodes.length === 1;
  const calls = [
    [`${synkti} members${flags}`, 'who is in the cluster'],
    // The one that is asked above, and computes a short answer itself: with all of it the connection would go.
    ...(one ? [] : ([[`${synkti} chaos kill 1 --only engine${flags}`, 'answers go on elsewhere']] as const)),
    [`${synkti} chaos interrupt ${Math.min(2, last)} --notice 20s${flags}`, 'interrupted with notice'],
    [`${synkti} chaos kill ${last}${flags}`, 'lost without notice'],
  ] as const;
  const width = Math.max(...calls.map(([call]) => call.length));
  const seconds = (readyMs / 1_000).toFixed(1);
  return [
    `${one ? 'One node is' : `${nodes.length} nodes are`} ready after ${seconds} s, and ${one ? 'it' : 'any of them'} answers:`,
    ...nodes.map(({ node, api, zone, id }) => `  node ${node}  ${api}  ${zone}  ${id}`),
    '',
    `  curl -N ${nodes[0]?.api}/v1/chat/completions -H 'content-type: application/json' \\`,
    `    -d '${body}'`,
    '',
    'In another terminal:',
    ...calls.map(([call, why]) => `  ${call.padEnd(width)}  ${why}`),
  ].join('\n');
}
