/**
 * Nodes that serve a trace in virtual time: every node is an entry with a router of its own, the routing code of the
 * daemon; every node is an engine with a cache that forgets nothing. A router learns what it would in a cluster: what
 * it placed itself, and what each member says of its running requests, up to half a second late.
 */
import type { Choice } from '../../../src/routing/choose.ts';
import * as routing from '../../../src/routing/router.ts';
import type { Router } from '../../../src/routing/router.ts';
import { memberId, type MemberId } from '../../../src/std/member-id.ts';
import { draw, type Rng } from '../../../src/std/random.ts';
import { instant } from '../../../src/std/time.ts';
import type { TracedRequest } from './trace.ts';

const model = 'traced';
const zones = ['a', 'b', 'c'] as const;
/** How often a member tells its load, ms. */
const reportMs = 500;
/** A block of 512 tokens that is not cached, and a generated token, on an engine of ordinary speed, ms. */
const blockMs = 40;
const tokenMs = 20;

type Node = {
  readonly id: MemberId;
  readonly zone: string;
  readonly router: Router;
  readonly cache: Set<number>;
  /** When each of its running requests will be done. */
  endsAt: number[];
  reported: number;
  /** By entry: requests sent since the last report. */
  readonly unreported: Map<MemberId, number>;
  /** Prompt blocks that were sent to it. */
  load: number;
};

export type Served = {
  readonly blocks: number;
  readonly hits: number;
  /** Of one endless cache that all share. */
  readonly bestHits: number;
  /** Of the members that are there at the end, over the whole trace. */
  readonly maxOverMeanLoad: number;
};

/** `lost`: so many nodes vanish before the request in the middle. */
export function serve(
  trace: readonly TracedRequest[],
  { names, lost, seed }: { readonly names: readonly string[]; readonly lost: number; readonly seed: number },
): Served {
  let nodes = names.map((name, i) => newNode(name, zones[i % zones.length]!, seed + i));
  const shared = new Set<number>();
  const total = { blocks: 0, hits: 0, bestHits: 0 };
  let rng: Rng = { seed };
  let reportedAt = -Infinity;
  for (const [i, request] of trace.entries()) {
    if (i === Math.floor(trace.length / 2)) nodes = nodes.slice(lost);
    if (request.atMs - reportedAt >= reportMs) {
      report(nodes, request.atMs);
      reportedAt = request.atMs;
    }
    const [index, next] = draw(rng, nodes.length);
    rng = next;
    const server = placed(nodes, nodes[index]!, request);
    const hits = cached(server.cache, request);
    server.load += request.blocks.length;
    const missed = request.blocks.length - hits;
    server.endsAt.push(request.atMs + missed * blockMs + request.outputTokens * tokenMs);
    total.blocks += request.blocks.length;
    total.hits += hits;
    total.bestHits += cached(shared, request);
  }
  const loads = nodes.map(({ load }) => load);
  const mean = loads.reduce((sum, load) => sum + load, 0) / loads.length;
  return { ...total, maxOverMeanLoad: Math.max(...loads) / mean };
}

const newNode = (name: string, zone: string, seed: number): Node => ({
  ...{ id: memberId(name), zone, router: routing.init(zone, { seed }), cache: new Set() },
  ...{ endsAt: [], reported: 0, unreported: new Map(), load: 0 },
});

function report(nodes: readonly Node[], now: number): void {
  for (const node of nodes) {
    node.endsAt = node.endsAt.filter((at) => at > now);
    node.reported = node.endsAt.length;
    node.unreported.clear();
  }
}

function placed(nodes: readonly Node[], entry: Node, { atMs, blocks: prompt }: TracedRequest): Node {
  const ready = nodes.map(({ id, zone, reported, unreported }) => ({
    ...{ member: id, zone, load: { running: reported, waiting: 0 } },
    ...{ unreported: unreported.get(entry.id) ?? 0, doubted: false },
  }));
  const request = { model, standing: { ready, starting: 0 }, wish: { avoid: [], urgent: false }, prompt };
  const choice: Choice = routing.place(entry.router, request, instant(atMs));
  const server = choice.type === 'chosen' ? nodes.find(({ id }) => id === choice.member) : undefined;
  if (server === undefined) throw new Error('nobody was chosen although everybody is ready');
  server.unreported.set(entry.id, (server.unreported.get(entry.id) ?? 0) + 1);
  return server;
}

/** How many blocks of the prompt the cache has, one after the other from the first; afterwards it has all of them. */
function cached(cache: Set<number>, { blocks }: TracedRequest): number {
  const missing = blocks.findIndex((block) => !cache.has(block));
  for (const block of blocks) cache.add(block);
  return missing === -1 ? blocks.length : missing;
}
