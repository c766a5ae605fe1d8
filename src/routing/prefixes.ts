/**
 * What this node remembers of the prompts that it placed: for each block who got it last, how many ways prompts went on
 * behind it, and how much went through it. Bounded, the least recently used blocks are forgotten first.
 *
 * A prefix that many different prompts share, such as the system prompt of an application, says little of where one of
 * them belongs: kept together, its traffic would outgrow any member. Such a prefix is *wide*; the first block behind it
 * tells conversations apart, and every member ends up with a copy of what is wide.
 */
import { dropOldest } from '../std/bounded.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Blocks } from './blocks.ts';

/** Some 100 bytes each; at twenty blocks a prompt the last three thousand prompts. */
const blocksMax = 65_536;
/** Prompts that went on differently behind a block before it can count as wide: fewer are one conversation's drafts. */
const branchesMin = 8;
/** Traffic is counted in blocks, and all counts are halved when so many were placed: what is old weighs less. */
const epochBlocks = 16_384;

type Block = {
  member: MemberId;
  hasNext: boolean;
  branches: number;
  /** Blocks of prompts that begin with this one, as of `epoch`. */
  traffic: number;
  epoch: number;
};

export type Prefixes = {
  readonly known: Map<number, Block>;
  /** Blocks placed, halved at every epoch. */
  traffic: number;
  epoch: number;
};

export const noPrefixes = (): Prefixes => ({ known: new Map(), traffic: 0, epoch: 0 });

/** How many blocks of this prompt are wide, where `members` share the traffic. */
export function widthOf(prefixes: Prefixes, blocks: Blocks, members: number): number {
  const share = prefixes.traffic / (2 * members);
  let wide = 0;
  // The last block is never wide: behind it there is nothing to go by.
  while (wide < blocks.length - 1) {
    const block = prefixes.known.get(blocks[wide]!);
    if (block === undefined || block.branches < branchesMin || trafficOf(prefixes, block) < share) break;
    wide += 1;
  }
  return wide;
}

/** Who got how long a beginning of this prompt, the longest last; what is wide says nothing. */
export function holdersOf(prefixes: Prefixes, blocks: Blocks, wide: number): ReadonlyMap<MemberId, number> {
  const holders = new Map<MemberId, number>();
  for (let i = wide; i < blocks.length; i++) {
    const block = prefixes.known.get(blocks[i]!);
    if (block === undefined) break;
    holders.set(block.member, i + 1);
  }
  return holders;
}

export function remember(prefixes: Prefixes, blocks: Blocks, member: MemberId): void {
  prefixes.traffic += blocks.length;
  const fork = forkOf(prefixes, blocks);
  for (const [i, hash] of blocks.entries()) {
    const block = prefixes.known.get(hash) ?? newBlock(prefixes, member);
    block.traffic = trafficOf(prefixes, block) + blocks.length;
    block.epoch = prefixes.epoch;
    block.member = member;
    if (i <= fork) block.branches += 1;
    if (i < blocks.length - 1) block.hasNext = true;
    // Taken out and put back: a Map keeps its order, which makes its first the one that was unused for longest.
    prefixes.known.delete(hash);
    prefixes.known.set(hash, block);
  }
  dropOldest(prefixes.known, blocksMax);
  if (prefixes.traffic < epochBlocks) return;
  prefixes.traffic /= 2;
  prefixes.epoch += 1;
}

/** The last known block, if something else has followed it before; -1: nothing branches off here. */
function forkOf(prefixes: Prefixes, blocks: Blocks): number {
  let last = -1;
  while (last + 1 < blocks.length && prefixes.known.has(blocks[last + 1]!)) last += 1;
  if (last === -1 || last === blocks.length - 1) return -1;
  return prefixes.known.get(blocks[last]!)?.hasNext === true ? last : -1;
}

const newBlock = ({ epoch }: Prefixes, member: MemberId): Block => ({
  ...{ member, hasNext: false, branches: 0, traffic: 0, epoch },
});

const trafficOf = (prefixes: Prefixes, { traffic, epoch }: Block): number =>
  traffic / 2 ** (prefixes.epoch - epoch);
