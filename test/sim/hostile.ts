/**
 * Three who mean harm. The stranger holds a key that no tag of an instance names: it dials everybody and must not be let
 * in. The liar is an instance of the cluster whose daemon was replaced: it is let in, repeats what others said, and says
 * whatever serves it (`lies.ts`). The slanderer is one too, and lies about what it knows and holds of others.
 */
import type { Network, NetworkEvents } from '../../src/node/ports.ts';
import type { Dice } from './dice.ts';
import { lies, slanders, type Liar, type Lie } from './lies.ts';
import { SimProcess } from './process.ts';
import type { Fault } from './schedule.ts';
import type { World } from './world.ts';

const everyMs = 40;
/** What it said is forgotten by then. */
const votesMs = 10_000;
const overheardMax = 200;
const dialMs = 2_000;
/** Of what it says. */
const repeatsShare = 0.25;
const nothing = new Uint8Array();

/** Peer ids of strangers say so, and a record of one is a broken promise. */
export const strangerPrefix = 'stranger-';

export function strangerAt(world: World, dice: Dice, fault: Fault): () => void {
  const host = world.terrain.add({
    ...{ id: `x-${fault.index}`, ip: `192.0.2.${fault.index & 255}.${fault.index}`, zone: 'elsewhere' },
    backlog: 128,
  });
  return haunt(world, dice, { host, peerId: `${strangerPrefix}${fault.index}`, admits: true, lies });
}

/**
 * A member's instance, with the member's tags, and not the member's daemon. One at a time: two that swear the same are
 * as good as two honest ones, and no quorum of two can tell.
 */
export const liarAt = (world: World, dice: Dice): (() => void) | null => intruderAt(world, dice, lies);

export const slandererAt = (world: World, dice: Dice): (() => void) | null =>
  intruderAt(world, dice, slanders);

function intruderAt(world: World, dice: Dice, says: readonly Lie[]): (() => void) | null {
  if (world.liars > 0) return null;
  world.liars++;
  const host = world.launch(null);
  const peerId = `peer-${host.id}`;
  world.ec2.tag(host.id, { SynktiPeerId: peerId, SynktiNodeId: host.id, SynktiState: 'joined' });
  const end = haunt(world, dice, { host, peerId, admits: true, lies: says });
  return () => {
    end();
    world.terminate(host);
    world.at(world.now + votesMs, () => world.liars--);
  };
}

function haunt(
  world: World,
  dice: Dice,
  who: Liar & { readonly admits: boolean; readonly lies: readonly Lie[] },
): () => void {
  const { host, peerId, lies } = who;
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
  const say = { network, dice, overheard, met, world, lies, liar: { host, peerId } };
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
  readonly lies: readonly Lie[];
  readonly liar: Liar;
}): void {
  const { network, dice, overheard, met, world, lies, liar } = say;
  const lie = (): Uint8Array => {
    const repeats = overheard.length > 0 && dice.hits(repeatsShare);
    return (repeats ? null : dice.pick(lies)(world, dice, liar)) ?? dice.pick([...overheard, nothing]);
  };
  for (const other of met) network.send(other, lie());
  if (dice.hits(0.2)) network.gossip(lie());
}
