/** `synkti status`: how one node is. */
import type { NodeStatus } from '../node/operations.ts';
import type { Cli } from './cli.ts';
import { columns, span } from './columns.ts';
import { exit, print, printJson, type Io } from './io.ts';
import { jsonOption, withExamples } from './option.ts';
import { connectTo, withTarget, type Target } from './target.ts';

export function statusCommand({ program, io, ends }: Cli): void {
  const command = withTarget(
    program.command('status').summary('tell how a node is').description('Tells how a node is.'),
  ).addOption(jsonOption());
  withExamples(command, [
    ['synkti status', 'the node on this machine'],
    ['synkti status --node 2 --json', 'node 2 of the development cluster, for a program'],
  ]).action((options: Target & { json?: true }) => ends(status(options, io)));
}

async function status(options: Target & { readonly json?: true }, io: Io): Promise<number> {
  const node = await (await connectTo(options, io)).status();
  if (options.json === true) printJson(io, node);
  else print(io, statusText(node));
  return exit.done;
}

function statusText(node: NodeStatus): string {
  const { engine, members, streams, addresses } = node;
  const models = engine.phase === 'none' ? '' : ` ${engine.models.join(', ')}`;
  const load = `${engine.running} running, ${engine.waiting} waiting, ${engine.restarts} restarts`;
  return columns(
    [node.id, `${node.role} of ${node.cluster} in ${node.zone}`],
    [
      ['phase', lifeText(node.life)],
      ['engine', engine.phase === 'none' ? 'none' : `${engine.phase}${models}: ${load}`],
      ['members', `${members.alive} others alive, ${members.suspect} suspect`],
      [
        'streams',
        `${streams.entry} entered here, ${streams.serving} served here, ${streams.moved} moved so far`,
      ],
      ['api', addresses.api],
      ['peers', `${addresses.p2p} (libp2p), ${addresses.peer} (inference)`],
      ['peer id', node.peerId],
      ['process', `${node.pid}, up ${span(node.upMs)}, version ${node.version}`],
    ],
  );
}

/** The deadline is shown in local time: it is read beside a watch. */
export function lifeText(life: NodeStatus['life']): string {
  if (life.phase !== 'draining') return life.phase;
  return `draining (${life.reason}) until ${new Date(life.deadline).toTimeString().slice(0, 8)}`;
}
