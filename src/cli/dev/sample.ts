/** How each node of a development cluster is doing just now, read as any operator would read it. */
import { connectControl } from '../../control/client.ts';
import type { NodeStatus } from '../../node/operations.ts';
import { Failure } from '../../std/failure.ts';
import type { DevNode } from './state.ts';

export type Sample = {
  readonly node: DevNode;
  /** null: it does not answer. */
  readonly status: NodeStatus | null;
  /** Tokens of finished answers per second over the last seconds; null while unknown. */
  readonly tokensPerSecond: number | null;
};

/** Answers finish in bursts, so the rate is taken over this time. */
const rateMs = 5_000;
/** A node that is frozen must not hold up the table. */
const answerMs = 1_000;
const tokensLine = /^synkti_generated_tokens_total (\d+)/m;

type Count = { readonly at: number; readonly tokens: number };

export function openSampler(): (nodes: readonly DevNode[]) => Promise<readonly Sample[]> {
  const history = new Map<string, readonly Count[]>();

  function rate(id: string, tokens: number | null): number | null {
    if (tokens === null) return null;
    const at = performance.now();
    const counts = [...(history.get(id) ?? []), { at, tokens }].filter((count) => at - count.at <= rateMs);
    history.set(id, counts);
    const first = counts[0]!;
    return at === first.at ? 0 : Math.max(0, ((tokens - first.tokens) * 1_000) / (at - first.at));
  }

  return async (nodes) => {
    for (const id of history.keys()) if (!nodes.some((node) => node.id === id)) history.delete(id);
    return Promise.all(
      nodes.map(async (node) => {
        const [status, tokens] = await Promise.all([statusOf(node), tokensOf(node)]);
        return { node, status, tokensPerSecond: rate(node.id, tokens) };
      }),
    );
  };
}

async function statusOf({ dataDir }: DevNode): Promise<NodeStatus | null> {
  try {
    const late = new Promise<null>((resolve) => setTimeout(() => resolve(null), answerMs).unref());
    return await Promise.race([connectControl(dataDir).status(), late]);
  } catch (error) {
    if (error instanceof Failure) return null;
    throw error;
  }
}

async function tokensOf({ api }: DevNode): Promise<number | null> {
  try {
    const answer = await fetch(`${api}/metrics`, { signal: AbortSignal.timeout(answerMs) });
    const found = tokensLine.exec(await answer.text());
    return found === null ? null : Number(found[1]);
  } catch (error) {
    if (error instanceof TypeError || error instanceof DOMException) return null;
    throw error;
  }
}
