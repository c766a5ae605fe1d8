/** What a node holds, as the kernel and its own metrics count it: what grows here for ever is a leak. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { Member } from './site.ts';

export type Vitals = {
  /** Resident, MB. */
  readonly rssMb: number;
  /** Of all kinds: clients, peers, the engine, the control socket. */
  readonly sockets: number;
  /** Streams of which it keeps a journal, its own and copies for others. null: it does not say. */
  readonly journals: number | null;
};

export async function vitalsOf({ pid, api }: Member): Promise<Vitals> {
  return { rssMb: rssMbOf(pid), sockets: socketsOf(pid), journals: await journalsOf(api) };
}

function rssMbOf(pid: number): number {
  const kB = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return (Number(kB?.[1]) * 1_024) / 1e6;
}

function socketsOf(pid: number): number {
  const links = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return ''; // Closed since it was listed.
    }
  });
  return links.filter((link) => link.startsWith('socket:')).length;
}

async function journalsOf(api: string): Promise<number | null> {
  const metrics = await (await fetch(`${api}/metrics`, { signal: AbortSignal.timeout(5_000) })).text();
  const lines = metrics.split('\n').filter((line) => /^synkti_journals(\{| )/.test(line));
  return lines.length === 0 ? null : lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}
