/** What processes cost while nothing happens: bytes that they send, and time that their threads run. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

/** Nanoseconds on a core, which /proc/<pid>/stat rounds to hundredths of a second. `thread`: by name; null: all. */
export function cpuNanos(pid: number, thread: string | null): number {
  const tasks = readdirSync(`/proc/${pid}/task`).map((task) => `/proc/${pid}/task/${task}`);
  const wanted =
    thread === null ? tasks : tasks.filter((task) => readFileSync(`${task}/comm`, 'utf8').trim() === thread);
  return wanted
    .map((task) => Number(readFileSync(`${task}/schedstat`, 'utf8').split(' ')[0]))
    .reduce((sum, nanos) => sum + nanos, 0);
}

export const hasThread = (pid: number, thread: string): boolean =>
  readdirSync(`/proc/${pid}/task`).some(
    (task) => readFileSync(`/proc/${pid}/task/${task}/comm`, 'utf8').trim() === thread,
  );

/**
 * Bytes that each process handed to the kernel on its TCP connections to or from hosts that `isPeer` says, by
 * connection. `inside`: the words that look from within the process's network namespace.
 */
export async function bytesSent(
  pid: number,
  inside: readonly string[],
  isPeer: (host: string) => boolean,
): Promise<ReadonlyMap<string, number>> {
  const [command = '', ...args] = [...inside, 'ss', '-tinpHO', 'state', 'established'];
  const { stdout } = await promisify(execFile)(command, args, { maxBuffer: 16 * 1_024 ** 2 });
  const connections = stdout
    .split('\n')
    .filter((line) => line.includes(`pid=${pid},`))
    .map((line) => {
      const [, , local = '', remote = ''] = line.trim().split(/\s+/);
      return { local, remote, sent: Number(/\bbytes_sent:(\d+)/.exec(line)?.[1] ?? 0) };
    });
  return new Map(
    connections
      .filter(({ local, remote }) => isPeer(hostOf(local)) || isPeer(hostOf(remote)))
      .map(({ local, remote, sent }) => [`${local} ${remote}`, sent]),
  );
}

const hostOf = (end: string): string => end.slice(0, end.lastIndexOf(':'));

/** Per second, of connections that stood at the beginning or came since. */
export async function rateOf(
  read: () => Promise<ReadonlyMap<string, number>>,
  windowMs: number,
): Promise<number> {
  const [before, at] = [await read(), performance.now()];
  await pause(windowMs);
  const [after, seconds] = [await read(), (performance.now() - at) / 1_000];
  const grown = [...after].map(([key, value]) => value - (before.get(key) ?? 0));
  return grown.reduce((sum, bytes) => sum + bytes, 0) / seconds;
}

/**
 * What a namespace's IP layer sent, less the headers of IPv4 and UDP or TCP: what its programs wrote. TCP's count
 * what a connection's options usually add to them.
 */
export function payloadSent(netstat: string, snmp: string): number {
  const octets = counter(netstat, 'IpExt', 'OutOctets');
  const datagrams = counter(snmp, 'Udp', 'OutDatagrams');
  const segments = counter(snmp, 'Tcp', 'OutSegs') + counter(snmp, 'Tcp', 'RetransSegs');
  return octets - 28 * datagrams - 52 * segments;
}

/** /proc/net/snmp and netstat: a line of names and a line of values for each protocol. */
function counter(text: string, protocol: string, name: string): number {
  const [names = '', values = ''] = text.split('\n').filter((line) => line.startsWith(`${protocol}:`));
  return Number(values.split(' ')[names.split(' ').indexOf(name)] ?? 0);
}
