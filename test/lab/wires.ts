/**
 * The network of a trial: every node in a network namespace of its own, with one link to the other nodes and one to
 * the cloud, so that each of the two can be cut alone.
 *
 *   node 0 … half-1 ──► [west] ══ trunk ══ [east] ◄── node half … n-1        10.77.0.0/16, between nodes
 *   every node ───────────────► [cloud] ◄── this process                     10.78.0.0/16, EC2, S3, metadata, clients
 *
 * A host that is off has both links down; a partition is the trunk down, with the cloud in reach of both sides.
 */
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const cloudHost = '10.78.255.254';
const peerPrefix = '10.77.';
const clientPrefix = '10.78.';
const suffix = (index: number): string => `${1 + Math.floor(index / 200)}.${1 + (index % 200)}`;
const namespaces = '/run/netns';

export type Wires = {
  /** What starts a program in this node's namespace: the words before its own. */
  inside(index: number): readonly string[];
  peerHost(index: number): string;
  /** Where this process reaches the node. */
  clientHost(index: number): string;
  host(index: number, order: 'off' | 'on'): Promise<void>;
  trunk(order: 'cut' | 'join'): Promise<void>;
};

export const isPeerHost = (host: string): boolean => host.startsWith(peerPrefix);

/** Only inside an enclosure: it goes with it. */
export async function layWires(nodes: number, half: number): Promise<Wires> {
  await mkdir(namespaces, { recursive: true });
  await run('mount', ['-t', 'tmpfs', 'netns', namespaces]);
  await batch([
    'link set lo up',
    ...['west', 'east', 'cloud'].flatMap((name) => [
      `link add ${name} type bridge forward_delay 0 mcast_snooping 0`,
      `link set ${name} addrgenmode none up`,
    ]),
    `address add ${cloudHost}/16 dev cloud`,
    'link add trunk-w type veth peer name trunk-e',
    'link set trunk-w addrgenmode none master west up',
    'link set trunk-e addrgenmode none master east up',
    ...Array.from({ length: nodes }, (_, index) => `netns add n${index}`),
  ]);
  await batch(
    Array.from({ length: nodes }, (_, index) => [
      `link add p${index} type veth peer name peers address ${mac(index)} netns n${index}`,
      `link add c${index} type veth peer name cloud netns n${index}`,
      `link set p${index} addrgenmode none master ${index < half ? 'west' : 'east'} up`,
      `link set c${index} addrgenmode none master cloud up`,
    ]).flat(),
  );
  for (let index = 0; index < nodes; index++)
    await batch(
      [
        'link set lo up',
        'link set peers addrgenmode none up',
        'link set cloud addrgenmode none up',
        `address add ${peerPrefix}${suffix(index)}/16 dev peers`,
        `address add ${clientPrefix}${suffix(index)}/16 dev cloud`,
        ...neighbours(index, nodes),
      ],
      `n${index}`,
    );
  return {
    inside: (index) => ['nsenter', `--net=${namespaces}/n${index}`, '--'],
    peerHost: (index) => `${peerPrefix}${suffix(index)}`,
    clientHost: (index) => `${clientPrefix}${suffix(index)}`,
    host: (index, order) => {
      const state = order === 'off' ? 'down' : 'up';
      return batch([`link set p${index} ${state}`, `link set c${index} ${state}`]);
    },
    trunk: (order) => batch([`link set trunk-w ${order === 'cut' ? 'down' : 'up'}`]),
  };
}

/**
 * Everybody is told where the others are. All namespaces of a kernel share one table of 1,024 neighbours that were found by
 * asking; 32 nodes fill it, and what comes later is silently not reached.
 */
const neighbours = (index: number, nodes: number): readonly string[] =>
  Array.from({ length: nodes }, (_, other) => other)
    .filter((other) => other !== index)
    .map((other) => `neigh add ${peerPrefix}${suffix(other)} lladdr ${mac(other)} nud permanent dev peers`);

const mac = (index: number): string =>
  `02:00:00:00:${[index >> 8, index & 255].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;

async function batch(lines: readonly string[], namespace?: string): Promise<void> {
  const where = namespace === undefined ? [] : ['-netns', namespace];
  const running = run('ip', [...where, '-batch', '-']);
  running.child.stdin?.end(lines.join('\n') + '\n');
  await running;
}
