/** Which node a command speaks to: one on this machine by its data directory, or one of the development cluster. */
import { access } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import { path } from '../config/kinds.ts';
import { table, variableOf } from '../config/settings.ts';
import type { ControlClient } from '../control/client.ts';
import { Failure } from '../std/failure.ts';
import { Misuse, type Io } from './io.ts';
import { optionOf } from './option.ts';

export type Target = { readonly node?: string; readonly dir?: string; readonly dataDir?: string };

export const dirOption = (): Option =>
  optionOf('--dir', path, "the development cluster's directory, where it is not the usual one");

export function withTarget(command: Command): Command {
  return command
    .option('--node <node>', 'a node of the development cluster, by number or instance id')
    .addOption(optionOf('--data-dir', path, `the node's data directory (default: ${table.dataDir.fallback})`))
    .addOption(dirOption());
}

export async function connectTo(target: Target, io: Io): Promise<ControlClient> {
  const { connectControl } = await import('../control/client.ts');
  const dataDir = await dataDirOf(target, io);
  await needAnswering(dataDir);
  return connectControl(dataDir);
}

/** A node can be asked once it has found out who it is, and until it has left, but has its data directory for longer. */
async function needAnswering(dataDir: string): Promise<void> {
  const { controlSocket, isAnswered } = await import('../control/socket-file.ts');
  if (await isAnswered(controlSocket(dataDir))) return;
  const { lockHolder } = await import('../os/lock.ts');
  const holder = lockHolder(dataDir);
  if (holder === null) return;
  throw new Failure('unreachable', `the node in ${dataDir} (process ${holder}) is starting, or about to end`);
}

/** A node of the development cluster may be meant by the number that its log shows, as `3` or `node-3`. */
export async function memberNamed(name: string, { dataDir, dir }: Target, io: Io): Promise<string> {
  const number = /^(?:node-)?(\d+)$/.exec(name)?.[1];
  if (number === undefined || dataDir !== undefined) return name;
  const { devDir, readDevState } = await import('./dev/state.ts');
  const state = await readDevState(devDir(io.env, dir));
  return state?.nodes.find(({ node }) => String(node) === number)?.id ?? name;
}

/**
 * Without any word about it: the node of this machine where there is one, else the one of a development cluster that has
 * run for longest. A replacement knows nobody yet, and would be asked by whoever wants to see what its loss did.
 */
async function dataDirOf({ node, dir, dataDir }: Target, io: Io): Promise<string> {
  if (dataDir !== undefined && (node !== undefined || dir !== undefined))
    throw new Misuse('--data-dir: names a node already, expected no --node and no --dir beside it');
  if (dataDir !== undefined) return dataDir;
  const isDev = node !== undefined || dir !== undefined;
  const usual = io.env[variableOf('dataDir')] || table.dataDir.fallback;
  if (!isDev && (await isThere(`${usual}/control.sock`))) return usual;
  const { devDir, needDevState, readDevState } = await import('./dev/state.ts');
  const at = devDir(io.env, dir);
  if (!isDev && (await readDevState(at)) === null) return needOne(usual, at);
  const state = await needDevState(at);
  const [oldest] = state.nodes.toSorted((a, b) => a.bootedAt - b.bootedAt);
  return nodeOf(state.nodes, node ?? String(oldest?.node ?? 1)).dataDir;
}

/** The node that is starting in `usual`; else Failure `unreachable`: on this machine there is none to ask. */
async function needOne(usual: string, devDir: string): Promise<string> {
  const { lockHolder } = await import('../os/lock.ts');
  if (lockHolder(usual) !== null) return usual;
  throw new Failure(
    'unreachable',
    `no node runs in ${usual}, and no development cluster in ${devDir}: start one by synkti run or synkti dev`,
  );
}

/** Failure `missing`, with the nodes that there are. */
export function nodeOf<N extends { readonly node: number; readonly id: string }>(
  nodes: readonly N[],
  wanted: string,
): N {
  const found = nodes.find(({ node, id }) => String(node) === wanted || id === wanted);
  if (found !== undefined) return found;
  const known = nodes.map(({ node }) => node).join(', ');
  throw new Failure(
    'missing',
    `node ${wanted}: no such node, the development cluster has ${known || 'none'}`,
  );
}

const isThere = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    // A directory that is not ours to look into may well hold a node: the connection will say so.
    (error: unknown) => (error as NodeJS.ErrnoException).code === 'EACCES',
  );
