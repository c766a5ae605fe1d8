/** Three ways to tell of a running cluster: JSON lines for a program, plain lines for a log, a table for a person. */
import { setTimeout as pause } from 'node:timers/promises';
import { isLive, print, printJson, type Io } from '../io.ts';
import { invocation } from '../executable.ts';
import type { DevCluster, DevEvent } from './cluster.ts';
import { intro } from './intro.ts';
import type { DevNode } from './state.ts';
import { openSampler } from './sample.ts';
import { eventLine, linesOn, screen } from './view.ts';

export type Show = {
  event(event: DevEvent, nodes: readonly DevNode[]): void;
  ready(cluster: DevCluster): Promise<void>;
  /** Puts the terminal in order. */
  close(): Promise<void>;
  /** What was said last and is not on the screen, for when the cluster does not start. */
  unseen(): readonly string[];
};

/** How often the table is drawn, ms. */
const drawMs = 500;
const eventsMax = 200;

/** `flags`: what other commands need to find the cluster. */
export function showFor(io: Io, options: { readonly json: boolean; readonly flags: string }): Promise<Show> {
  if (options.json) return Promise.resolve(jsonShow(io));
  return isLive(io) ? liveShow(io, options.flags) : Promise.resolve(plainShow(io, options.flags));
}

function jsonShow(io: Io): Show {
  const lines = lastLines();
  return {
    event: (event, nodes) => {
      const { node, said } = event;
      lines.add(event, nodes);
      printJson(io, { event: typeof said === 'string' ? { node, said } : { node, ...said } });
    },
    ready: (cluster) => {
      const nodes = cluster
        .nodes()
        .map(({ node, id, zone, api, control, pid }) => ({ node, id, zone, api, control, pid }));
      printJson(io, { ready: { nodes, readyMs: cluster.readyMs } });
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
    unseen: lines.all,
  };
}

function plainShow(io: Io, flags: string): Show {
  const lines = lastLines();
  return {
    event: (event, nodes) => print(io, lines.add(event, nodes)),
    ready: async (cluster) => print(io, await introOf(cluster, flags)),
    close: () => Promise.resolve(),
    unseen: () => [],
  };
}

async function liveShow(io: Io, flags: string): Promise<Show> {
  const { createLogUpdate } = await import('log-update');
  const live = createLogUpdate(io.out as NodeJS.WriteStream);
  const lines = lastLines();
  const sample = openSampler();
  const closed = new AbortController();
  let drawing: Promise<void> | null = null;

  async function draw(cluster: DevCluster, introduction: string): Promise<void> {
    while (!closed.signal.aborted) {
      const samples = await sample(cluster.nodes());
      const size = { columns: io.out.columns ?? 80, rows: io.out.rows ?? 24 };
      const shown = { size, introLines: linesOn(introduction, size.columns), now: Date.now() };
      if (!closed.signal.aborted) live(screen(samples, lines.all(), shown));
      // Woken by the end, which is no failure.
      await pause(drawMs, undefined, { signal: closed.signal }).catch(() => undefined);
    }
  }

  return {
    event: (event, nodes) => void lines.add(event, nodes),
    ready: async (cluster) => {
      const text = await introOf(cluster, flags);
      print(io, text);
      drawing = draw(cluster, text);
    },
    close: async () => {
      closed.abort();
      await drawing;
      if (drawing !== null) live.done();
    },
    unseen: lines.all,
  };
}

type Lines = {
  /** Returns the line. */
  add(event: DevEvent, nodes: readonly DevNode[]): string;
  all(): readonly string[];
};

function lastLines(): Lines {
  const lines: string[] = [];
  const numbers = new Map<string, number>();
  return {
    add: (event, nodes) => {
      // Kept when the instance is gone: others go on speaking of it.
      for (const { id, node } of nodes) numbers.set(id, node);
      const line = eventLine(event, numbers);
      lines.push(line);
      if (lines.length > eventsMax) lines.shift();
      return line;
    },
    all: () => lines,
  };
}

async function introOf(cluster: DevCluster, flags: string): Promise<string> {
  const nodes = cluster.nodes();
  const [first] = await openSampler()(nodes.slice(0, 1));
  const engine = first?.status?.engine;
  const model = engine === undefined || engine.phase === 'none' ? undefined : engine.models[0];
  return intro({ nodes, readyMs: cluster.readyMs, model: model ?? 'simulated', synkti: invocation(), flags });
}
