/** What an operator sees of a node from outside, read through its control socket and its API. */
import { request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { MemberStatus, NodeStatus } from '../../src/node/operations.ts';
import type { DevNode } from '../cluster/dev-cluster.ts';

/** A machine that computes two models on two cores keeps a node from answering for seconds. */
const usual = { withinMs: 60_000 };

type Observed = Pick<DevNode, 'control'>;
type Patience = { readonly withinMs: number };

/** Rejects when there is no answer in time. */
export const statusOf = (node: Observed, patience: Patience = usual): Promise<NodeStatus> =>
  ask(node.control, '/status', patience);
export const membersOf = (node: Observed, patience: Patience = usual): Promise<readonly MemberStatus[]> =>
  ask(node.control, '/members', patience);

/** Whether the node admits new requests, as a load balancer asks it. One that is slow to say so may still admit them. */
export async function isReady(node: DevNode): Promise<boolean> {
  try {
    return (await fetch(`${node.api}/readyz`, { signal: AbortSignal.timeout(usual.withinMs) })).ok;
  } catch (error) {
    return error instanceof DOMException;
  }
}

/** `name` alone means all its labels together; with labels, that one series. */
const isSeries = (line: string, name: string): boolean =>
  line.startsWith(`${name} `) || (!name.endsWith('}') && line.startsWith(`${name}{`));

/** The sum of a counter over nodes; a node that does not answer counts nothing. */
async function counter(nodes: readonly DevNode[], name: string): Promise<number> {
  const texts = await Promise.all(
    nodes.map(async (node) => {
      try {
        return await (
          await fetch(`${node.api}/metrics`, { signal: AbortSignal.timeout(usual.withinMs) })
        ).text();
      } catch {
        return '';
      }
    }),
  );
  const lines = texts.flatMap((text) => text.split('\n')).filter((line) => isSeries(line, name));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

/** How long it took from `since` (performance.now) until `holds`; null when it did not within `withinMs`. */
export async function timeUntil(
  holds: () => Promise<boolean>,
  { since, withinMs }: { since: number; withinMs: number },
): Promise<number | null> {
  while (performance.now() - since < withinMs) {
    if (await holds()) return Math.round(performance.now() - since);
    await pause(10);
  }
  return null;
}

function ask<T>(socketPath: string, path: string, { withinMs }: Patience): Promise<T> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path, timeout: withinMs }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve(JSON.parse(text) as T));
      response.on('error', reject);
    });
    call.on('timeout', () => call.destroy(new Error(`${path}: no answer within ${withinMs} ms`)));
    call.on('error', reject);
    call.end();
  });
}

/**
 * The highest value of a counter on each node, watched while the nodes live: what a node that leaves had counted
 * would be gone with it.
 */
export function watchCounter(
  nodes: readonly DevNode[],
  name: string,
): { total(): number; stop(): Promise<void> } {
  const highest = new Map<string, number>();
  let watching = true;
  async function watch(node: DevNode): Promise<void> {
    while (watching) {
      highest.set(node.id, Math.max(highest.get(node.id) ?? 0, await counter([node], name)));
      await pause(100);
    }
  }
  const done = Promise.all(nodes.map(watch));
  return {
    total: () => [...highest.values()].reduce((sum, value) => sum + value, 0),
    stop: async () => {
      watching = false;
      await done;
    },
  };
}
