/**
 * What a member says that means harm, besides what it repeats of others: garbage, false oaths, records of its own that
 * contradict each other, records in the names of others, false witness about whose keys are whose, and slander.
 */
import { encode, type Message } from '../../src/node/message.ts';
import { sealVote } from '../../src/node/sealed-vote.ts';
import type { EngineStatus, Life, NodeRecord } from '../../src/registry/record.ts';
import { sealRecord } from '../../src/registry/sealed.ts';
import { bucketCount, type ViewHash } from '../../src/registry/view-hash.ts';
import type { Dice } from './dice.ts';
import { trueWall } from './process.ts';
import { firstRecord } from './resident.ts';
import { sealOf } from './seal.ts';
import type { Host } from './terrain.ts';
import type { World } from './world.ts';

export type Liar = { readonly host: Host; readonly peerId: string };

/** Keys that it makes up. */
const keysMax = 50;
const aheadMs = 60_000;

export type Lie = (world: World, dice: Dice, liar: Liar) => Uint8Array | null;

export const lies: readonly Lie[] = [
  (_world, dice) => garbage(dice),
  vote,
  (world, dice, liar) => sealed(ownRecord(world, dice, liar), liar.peerId),
  /** Of an instance that was started anew, with a key that nobody has seen: its own, and another's. */
  (world, dice, liar) => {
    const peerId = madeUp(dice, liar);
    return sealed({ ...ownRecord(world, dice, liar), peerId }, peerId);
  },
  (world, dice, liar) => inAnothersName(world, dice, madeUp(dice, liar)),
  (world, dice, liar) => inAnothersName(world, dice, liar.peerId),
  /** Under the name and the key of another, which it cannot sign by. */
  (world, dice, liar) => {
    const record = later(world, dice);
    return record && sealed(record, liar.peerId);
  },
  vouch,
];

/** What it says it knows and holds of others, in beats and in comparisons, and what it wants of whom it says so to. */
export const slanders: readonly Lie[] = [
  (world, dice) =>
    encode({ type: 'beat', hash: drawHash(dice), stamp: trueWall(world.now) + dice.below(1_000) }),
  (_world, dice) =>
    encode({ type: 'hashes', buckets: Array.from({ length: bucketCount }, () => drawHash(dice)) }),
  digest,
  digest,
  (world, dice) => {
    const own = another(world, dice);
    return own && encode({ type: 'accused', incarnation: own.incarnation });
  },
  (world, dice) => {
    const own = another(world, dice);
    return own && encode({ type: 'want', ids: [own.id] });
  },
  (world, dice, liar) => {
    const own = another(world, dice);
    return own && encode({ type: 'ask', peerIds: [own.peerId, madeUp(dice, liar)] });
  },
  (_world, dice) => encode({ type: 'watch', on: dice.hits(0.5) }),
  (_world, dice) => encode({ type: 'load', running: dice.below(1_000), waiting: dice.below(1_000) }),
];

/** Most are dead, some are missing, and of some it has heard more than they said. */
function digest(world: World, dice: Dice, { host }: Liar): Uint8Array {
  const told = world.living().filter(({ id }) => id !== host.id && dice.hits(0.8));
  const entries = told.map(({ inside }) => {
    const { id, incarnation, sequence } = inside.cluster.own();
    const ahead = dice.hits(0.2)
      ? { incarnation: incarnation + dice.pick([0, 1, aheadMs]), sequence: sequence + 1 }
      : {};
    return { id, incarnation, sequence, dead: dice.hits(0.7), ...ahead };
  });
  const buckets = Array.from({ length: bucketCount }, (_, bucket) => bucket);
  return encode({ type: 'entries', buckets, entries, reply: dice.hits(0.5) });
}

const drawHash = (dice: Dice): ViewHash => ({ high: dice.below(2 ** 32), low: dice.below(2 ** 32) });

function garbage(dice: Dice): Uint8Array {
  const body = Uint8Array.from({ length: dice.below(300) }, () => dice.below(256));
  const first = dice.pick([0x7b, 0x01, 0x00]);
  if (body.length > 0) body[0] = first;
  return body;
}

function vote(world: World, dice: Dice, { peerId: by }: Liar): Uint8Array | null {
  const own = another(world, dice);
  if (own === null) return null;
  const { id: subject, incarnation } = own;
  const sequence = trueWall(world.now) + dice.below(1_000);
  const evidence = dice.pick(['refused', 'timeout', 'slow', 'alive'] as const);
  return encode(sealVote({ by, vote: { subject, incarnation, evidence, life: 1, sequence } }, sealOf(by)));
}

function vouch(world: World, dice: Dice, liar: Liar): Uint8Array | null {
  const own = another(world, dice);
  if (own === null) return null;
  const { id, zone } = own;
  const peerId = dice.pick([liar.peerId, madeUp(dice, liar)]);
  const entry = { id, peerId, address: { host: liar.host.ip, port: 4001 }, zone, role: 'worker' };
  return encode({ type: 'vouch', entries: [dice.hits(0.5) ? entry : { ...entry, left: true }] });
}

const inAnothersName = (world: World, dice: Dice, peerId: string): Uint8Array | null => {
  const record = later(world, dice);
  return record && sealed({ ...record, peerId }, peerId);
};

/** What a living member might say next, and has not said. */
function later(world: World, dice: Dice): NodeRecord | null {
  const own = another(world, dice);
  if (own === null) return null;
  const incarnation = own.incarnation + dice.pick([0, 1, aheadMs]);
  return { ...own, incarnation, sequence: own.sequence + 1 + dice.below(10), life: drawLife(world, dice) };
}

function another(world: World, dice: Dice): NodeRecord | null {
  const all = world.living();
  return all.length === 0 ? null : dice.pick(all).inside.cluster.own();
}

/** Now of one incarnation and now of another, in any order, and never the same twice. */
function ownRecord(world: World, dice: Dice, { host, peerId }: Liar): NodeRecord {
  const incarnation = Math.round(trueWall(world.now)) - dice.below(aheadMs);
  const { id, zone } = host;
  return {
    ...firstRecord({ id, peerId, zone, incarnation }),
    ...{ sequence: dice.below(1_000), life: drawLife(world, dice), engine: drawEngine(dice) },
  };
}

const drawLife = (world: World, dice: Dice): Life => {
  const deadline = Math.round(trueWall(world.now)) + aheadMs;
  return dice.pick([
    { phase: 'joining' },
    { phase: 'serving' },
    { phase: 'draining', reason: 'interruption', deadline },
    { phase: 'left' },
  ] as const);
};

const drawEngine = (dice: Dice): EngineStatus =>
  dice.hits(0.5)
    ? { phase: 'none' }
    : { phase: 'ready', models: [`of-a-liar-${dice.below(9)}`], contextTokens: 1 };

const madeUp = (dice: Dice, { host }: Liar): string => `peer-${host.id}-made-up-${dice.below(keysMax)}`;

function sealed(record: NodeRecord, by: string): Uint8Array {
  const message: Message = { type: 'record', ...sealRecord(record, sealOf(by)).sealed };
  return encode(message);
}
