/**
 * Two who mean harm. The stranger holds a key that no tag of an instance names: it dials everybody and must not be let
 * in. The liar is an instance of the cluster whose daemon was replaced: it is let in, says garbage, repeats what
 * others said, and swears that members are gone.
 */
import type { Network, NetworkEvents } from '../../src/node/ports.ts';
import { sealVote } from '../../src/node/sealed-vote.ts';
import { memberId } from '../../src/std/member-id.ts';
import type { Dice } from './dice.ts';
import { SimProcess, trueWall } from './process.ts';
import type { Fault } from './schedule.ts';
import { sealOf } from './seal.ts';
import type { Host } from './terrain.ts';
import type { World } from './world.ts';

const everyMs = 40;
/** What it said is forgotten by then. */
const votesMs = 10_000;
const overheardMax = 200;
const dialMs = 2_000;

/** Peer ids of strangers say so, and a record of one is a broken promise. */
export const strangerPrefix = 'stranger-';

export function strangerAt(world: World, dice: Dice, fault: Fault): () => void {
  const host = world.terrain.add({
    ...{ id: `x-${fault.index}`, ip: `192.0.2.${fault.index & 255}.${fault.index}`, zone: 'elsewhere' },
    backlog: 128,
  });
  return haunt(world, dice, { host, peerId: `${strangerPrefix}${fault.index}`, admits: true });
}

/**
 * A member's instance, with the member's tags, and not the member's daemon. One at a time: two that swear the same are
 * as good as two honest ones, and no quorum of two can tell.
 */
export function liarAt(world: World, dice: Dice): (() => void) | null {
  if (world.liars > 0) return null;
  world.liars++;
  const host = world.launch(null);
  const peerId = `peer-${host.id}`;
  world.ec2.tag(host.id, { SynktiPeerId: peerId, SynktiNodeId: host.id, SynktiState: 'joined' });
  const end = haunt(world, dice, { host, peerId, admits: true });
  return () => {
    end();
    world.terminate(host);
    world.at(world.now + votesMs, () => world.liars--);
  };
}

function haunt(
  world: World,
  dice: Dice,
  who: { readonly host: Host; readonly peerId: string; readonly admits: boolean },
): () => void {
  const { host, peerId } = who;
  const { queue, digest } = world;
  const process = new SimProcess(-1 - host.index, { queue, digest, drift: { rate: 1, wallOffsetMs: 0 } });
  const met = new Set<string>();
  const overheard: Uint8Array[] = [];
  const events: NetworkEvents = {
    connected: (other) => void met.add(other),
    disconnected: (other) => void met.delete(other),
    message: (_author, body) => {
      if (overheard.length < overheardMax) overheard.push(body);
      else overheard[dice.below(overheardMax)] = body;
    },
    admit: () => Promise.resolve(who.admits),
  };
  const network = world.network.open(peerId, { host, process }, events);
  const say = { network, dice, overheard, met, world, peerId };
  const act = (): void => {
    if (!process.alive) return;
    approach(world, dice, network);
    molest(say);
    process.receive(world.now + everyMs, act);
  };
  process.receive(world.now, act);
  return () => {
    process.alive = false;
    world.network.vanish(process);
  };
}

function approach(world: World, dice: Dice, network: Network): void {
  const all = world.living();
  if (all.length === 0) return;
  const { peerId, host } = dice.pick(all);
  const ended = new AbortController();
  world.at(world.now + dialMs, () => {
    world.turn.note();
    ended.abort('late');
  });
  network.dial({ peerId, address: { host: host.ip, port: 4001 } }, ended.signal).catch(() => undefined);
}

function molest(say: {
  readonly network: Network;
  readonly dice: Dice;
  readonly overheard: readonly Uint8Array[];
  readonly met: ReadonlySet<string>;
  readonly world: World;
  readonly peerId: string;
}): void {
  const { network, dice, overheard, met, world, peerId } = say;
  const lies = [garbage(dice), vote(world, dice, peerId)];
  if (overheard.length > 0) lies.push(dice.pick(overheard));
  for (const other of met) network.send(other, dice.pick(lies));
  if (dice.hits(0.2)) network.gossip(dice.pick(lies));
}

function garbage(dice: Dice): Uint8Array {
  const body = Uint8Array.from({ length: dice.below(300) }, () => dice.below(256));
  const first = dice.pick([0x7b, 0x01, 0x00]);
  if (body.length > 0) body[0] = first;
  return body;
}

function vote(world: World, dice: Dice, by: string): Uint8Array {
  const { id } = dice.pick(world.living());
  const record = world
    .living()
    .find((resident) => resident.id === id)
    ?.inside.cluster.own();
  const { incarnation = 0 } = record ?? {};
  const sequence = trueWall(world.now) + dice.below(1_000);
  const evidence = dice.pick(['refused', 'timeout', 'slow', 'alive'] as const);
  const sealed = sealVote(
    { by, vote: { subject: memberId(id), incarnation, evidence, life: 1, sequence } },
    sealOf(by),
  );
  return new TextEncoder().encode(JSON.stringify(sealed));
}
