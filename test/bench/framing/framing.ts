/**
 * `npm run bench:framing`: what the stream of tokens from one node to another costs both, by HTTP/1.1 with a connection
 * for each stream (undici's dispatch) and by a line, on which all of them share one connection as frames. Both go
 * through the mutual TLS of the nodes. CPU time is that of the whole processes.
 *
 * `--json` prints one object. Exit 1 when the framing that nodes use is not the cheaper one at either end.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import type { Dispatcher } from 'undici';
import { issueCertificate } from '../../../src/mtls/certificate.ts';
import { loadIdentity } from '../../../src/mtls/identity.ts';
import { peerPool } from '../../../src/mtls/peer-pool.ts';
import { PeerWay, type Way } from '../../../src/mtls/peer-way.ts';
import { AskingLine } from '../../../src/wire/asking.ts';
import { protocol } from '../../../src/wire/frames.ts';
import { mean, rounded } from '../membership/numbers.ts';
import { json } from '../../script/flags.ts';
import { runScript, type Given, type Script } from '../../script/script.ts';
import { question, rounds, stepMs, streams, tokens, warmMs, windowMs } from './plan.ts';

type Framing = 'http1' | 'frames';
type Cost = {
  /** µs of CPU time of one event, at the end that asked and at the one that serves. */
  readonly entryUsPerChunk: number;
  readonly servingUsPerChunk: number;
  /** µs of CPU time of a call and its answer, streams of one event, both ends together. */
  readonly usPerCall: number;
};
type Spent = {
  readonly events: number;
  readonly calls: number;
  readonly entryUs: number;
  readonly servingUs: number;
};
type OtherEnd = {
  readonly port: number;
  readonly peerId: string;
  cpuUs(): Promise<number>;
  close(): void;
};

async function openOtherEnd(dir: string): Promise<OtherEnd> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'other-end.ts'), dir], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const line = async (): Promise<string> =>
    String((await once(lines, 'line', { signal: AbortSignal.timeout(30_000) }))[0]);
  const [port = '', peerId = ''] = (await line()).split(' ');
  return {
    ...{ port: Number(port), peerId },
    cpuUs: async () => {
      child.stdin.write('\n');
      return Number(await line());
    },
    close: () => child.stdin.end(),
  };
}

/** Calls begin again as soon as they end, so that as many as planned are always open. */
class Load implements Dispatcher.DispatchHandler {
  events = 0;
  calls = 0;
  isOver = false;
  readonly #way: Way;
  readonly #tokens: number;

  constructor(way: Way, each: number) {
    this.#way = way;
    this.#tokens = each;
  }

  begin(): void {
    const headers = { 'content-type': 'application/json' };
    const timeouts = { headersTimeout: 0, bodyTimeout: 0 };
    const path = `/engine?tokens=${this.#tokens}`;
    this.#way.dispatch({ method: 'POST', path, headers, body: question, ...timeouts }, this);
  }

  onRequestStart(): void {}
  onResponseStart(): void {}

  onResponseData(_controller: Dispatcher.DispatchController, part: Buffer): void {
    for (let at = part.indexOf('\n\n'); at !== -1; at = part.indexOf('\n\n', at + 2)) this.events += 1;
  }

  onResponseEnd(): void {
    this.calls += 1;
    if (!this.isOver) this.begin();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (!this.isOver) throw error;
  }
}

async function measure(way: Way, other: OtherEnd, each: number): Promise<Spent> {
  const load = new Load(way, each);
  for (let i = 0; i < streams; i++) {
    load.begin();
    // Not all in the same step, and not all connections at once.
    if (i % 10 === 9) await pause(stepMs);
  }
  await pause(warmMs);
  const [events, calls, servingUs, own] = [load.events, load.calls, await other.cpuUs(), process.cpuUsage()];
  await pause(windowMs);
  const { user, system } = process.cpuUsage(own);
  const after = await other.cpuUs();
  load.isOver = true;
  // What still runs ends by itself within its tokens.
  await pause(each * stepMs + 10 * stepMs);
  return {
    ...{ events: load.events - events, calls: load.calls - calls },
    ...{ entryUs: user + system, servingUs: after - servingUs },
  };
}

const script: Script<{ json: typeof json }> = {
  name: 'bench:framing',
  about: 'What a token from node to node costs both ends: by HTTP/1.1, and by frames on one connection.',
  flags: { json },
  example: 'npm run -s bench:framing -- --json',
};

async function main(given: Given<typeof script.flags>): Promise<number> {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-framing-'));
  const found: Record<Framing, Cost[]> = { http1: [], frames: [] };
  const other = await openOtherEnd(dir);
  try {
    const credentials = await issueCertificate(await loadIdentity(join(dir, 'entry')));
    const address = `127.0.0.1:${other.port}`;
    for (let round = 0; round < rounds; round++)
      for (const framing of ['http1', 'frames'] as const) {
        const pool = peerPool({ credentials, peerId: other.peerId, address });
        const way =
          framing === 'http1'
            ? pool
            : new PeerWay(pool, { protocol, open: (...line) => new AskingLine(...line) });
        const long = await measure(way, other, tokens);
        const short = await measure(way, other, 1);
        await way.destroy();
        found[framing].push({
          entryUsPerChunk: long.entryUs / long.events,
          servingUsPerChunk: long.servingUs / long.events,
          usPerCall: (short.entryUs + short.servingUs) / short.calls,
        });
      }
  } finally {
    other.close();
    await rm(dir, { recursive: true, force: true });
  }
  return tell({ http1: meanOf(found.http1), frames: meanOf(found.frames) }, given.json);
}

function meanOf(costs: readonly Cost[]): Cost {
  const of = (what: keyof Cost): number => rounded(mean(costs.map((cost) => cost[what])), 1);
  return {
    entryUsPerChunk: of('entryUsPerChunk'),
    servingUsPerChunk: of('servingUsPerChunk'),
    usPerCall: of('usPerCall'),
  };
}

function tell(report: Readonly<Record<Framing, Cost>>, asJson: boolean): number {
  const { http1, frames } = report;
  if (asJson) process.stdout.write(`${JSON.stringify({ streams, ...report })}\n`);
  else
    for (const [name, cost] of Object.entries(report))
      process.stdout.write(
        `${name.padEnd(8)}${cost.entryUsPerChunk} us a chunk where it is asked for, ` +
          `${cost.servingUsPerChunk} us where it is served, ${cost.usPerCall} us a call\n`,
      );
  const dearer = (Object.keys(http1) as (keyof Cost)[]).filter((what) => !(frames[what] < http1[what]));
  for (const what of dearer) process.stderr.write(`broken: frames are cheaper: ${what}\n`);
  return dearer.length === 0 ? 0 : 1;
}

await runScript(script, main);
