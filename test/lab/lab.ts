/**
 * Many real daemons and one local cloud for a trial: each daemon an instance of the cloud, in a network namespace of
 * its own where there are any, else on an address of the loopback interface.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { connectControl } from '../../src/control/client.ts';
import { startLocalCloud, type LocalCloud } from '../../src/localcloud/cloud.ts';
import { usualCloud } from '../../src/localcloud/cloud-options.ts';
import type { Hosts, Launch } from '../../src/localcloud/instances/hosts.ts';
import { systemClock } from '../../src/os/clock.ts';
import { Daemon, type Place } from './daemon.ts';
import type { Ground } from './enclosure.ts';
import type { Program } from './program.ts';
import { cloudHost, layWires, type Wires } from './wires.ts';
import { Witness } from './witness.ts';

export type Lab = {
  readonly dir: string;
  readonly cloud: LocalCloud;
  /** null: one network for all, which cannot be cut. */
  readonly wires: Wires | null;
  readonly witness: Witness;
  readonly daemons: readonly Daemon[];
  /** Waits until every daemon of these, or of all, holds all the others of them alive. Rejects when it takes longer. */
  settled(withinMs: number, daemons?: readonly Daemon[]): Promise<void>;
  close(): Promise<void>;
};

export type LabOptions = {
  readonly nodes: number;
  readonly ground: Ground;
  readonly program: Program;
  /** Flags of `synkti run`, by the number of the node from 0. */
  readonly flags: (index: number) => readonly string[];
  readonly logs: string | null;
  /** In which zone each stands, in their order; without it they take turns in three. */
  readonly zones?: readonly string[];
};

/** Node.js starts on one core in about a second: more at once only delay one another. */
const startsAtOnce = 3;
const startMs = 120_000;
/** For all to know all once the last has started: 500 handshakes and as many records on two cores. */
const meetMs = 120_000;

export async function openLab(options: LabOptions): Promise<Lab> {
  const { nodes, ground } = options;
  await using opened = new AsyncDisposableStack();
  const wires = ground.isEnclosed ? await layWires(nodes, nodes / 2) : null;
  if (options.logs !== null) await mkdir(options.logs, { recursive: true });
  const witness = new Witness();
  const daemons: Daemon[] = [];
  const cloud = await startLocalCloud(
    {
      ...usualCloud,
      dir: join(ground.dir, 'cloud'),
      zones: options.zones ?? usualCloud.zones,
      host: wires === null ? '127.0.0.1' : cloudHost,
      hosts: hostsOf(options, { wires, witness, daemons }),
      clock: systemClock,
      seed: 1,
      group: { ...usualCloud.group, max: nodes, replaceAfterMs: 86_400_000 },
      template: { ...usualCloud.template, tags: {} },
      report: ({ fact, ...fields }) => {
        if (fact.endsWith('failed')) witness.hear(-1, `${fact} ${JSON.stringify(fields)}`);
      },
    },
    AbortSignal.timeout(startMs),
  );
  opened.defer(() => cloud.close());

  const trouble = (): string => [-1, ...daemons.keys()].flatMap((by) => witness.murmurs(by) || []).join('\n');
  await Promise.all(Array.from({ length: startsAtOnce }, (_, lane) => startLane(lane)));
  async function startLane(lane: number): Promise<void> {
    for (let at = lane; at < nodes; at += startsAtOnce) {
      const [id = ''] = cloud.runInstances(1);
      const isUp = (): boolean => {
        const daemon = daemons.find((known) => known.id === id);
        return daemon !== undefined && hasStarted(witness, daemon);
      };
      if (!(await witness.until(isUp, startMs))) throw new Error(`node ${at} does not start:\n${trouble()}`);
    }
  }

  const membersOf = (of: readonly Daemon[]): ReadonlyMap<number, string> =>
    new Map(of.map(({ index, id }) => [index, id]));
  async function settled(withinMs: number, of: readonly Daemon[] = daemons): Promise<void> {
    const members = membersOf(of);
    const isSettled = await witness.until(() => of.some(isDown) || witness.agree(members), withinMs);
    const down = of.filter(isDown).map(({ index }) => index);
    if (down.length > 0) throw new Error(`node ${down.join(', ')} has ended:\n${trouble()}`);
    if (!isSettled)
      throw new Error(`views differ after ${withinMs} ms: ${witness.differences(members)}\n${trouble()}`);
  }
  daemons.sort((a, b) => a.index - b.index);
  await settled(meetMs);
  const running = opened.move();
  return { dir: ground.dir, cloud, wires, witness, daemons, settled, close: () => running.disposeAsync() };
}

const isDown = ({ pid }: Daemon): boolean => pid === 0;

const hasStarted = ({ said }: Witness, { index }: Daemon): boolean =>
  said.some(({ by, fact }) => by === index && fact === 'node.started');

function hostsOf(
  { ground, program, flags, logs }: LabOptions,
  lab: { readonly wires: Wires | null; readonly witness: Witness; readonly daemons: Daemon[] },
): Hosts {
  return {
    async launch(instance: Launch) {
      const { index } = instance;
      const place = placeOf(lab.wires, index);
      const daemon = new Daemon({
        ...{ dir: ground.dir, instance, place, program, logs },
        flags: flags(index),
        witness: lab.witness,
      });
      lab.daemons.push(daemon);
      await daemon.start();
    },
    signal: async (id, _part, name) => {
      const daemon = lab.daemons.find((known) => known.id === id);
      if (name === 'SIGKILL') await daemon?.kill();
      else daemon?.signal(name);
    },
    isolate: () => Promise.reject(new Error('links are cut here, not daemons')),
  };
}

function placeOf(wires: Wires | null, index: number): Place {
  const loopback = `127.0.2.${index + 1}`;
  if (wires === null) return { inside: [], peerHost: loopback, apiHost: loopback };
  return {
    inside: wires.inside(index),
    peerHost: wires.peerHost(index),
    apiHost: wires.clientHost(index),
  };
}

/** Whether every daemon, asked itself, holds all of them alive; what it logged is one thing, what it acts on another. */
export async function allAlive(daemons: readonly Daemon[]): Promise<boolean> {
  const views = await Promise.all(daemons.map(({ dataDir }) => connectControl(dataDir).members()));
  return views.every((view) =>
    daemons.every(({ id }) => view.some((member) => member.id === id && member.health === 'alive')),
  );
}
