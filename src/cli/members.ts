/** `synkti members`: who is in the cluster, as one node sees it. */
import type { MemberStatus } from '../node/operations.ts';
import type { Cli } from './cli.ts';
import { columns, span } from './columns.ts';
import { conditionOf } from './condition.ts';
import { exit, print, printJson, type Io } from './io.ts';
import { jsonOption, withExamples } from './option.ts';
import { connectTo, withTarget, type Target } from './target.ts';

export function membersCommand({ program, io, ends }: Cli): void {
  const command = withTarget(
    program
      .command('members')
      .summary('list the members of the cluster')
      .description(
        `Lists the members of the cluster as one node sees them. A terminal too narrow for all goes without ${spare.join(', ')}.`,
      ),
  )
    .option('--watch', 'go on showing them, until Ctrl-C')
    .addOption(jsonOption());
  withExamples(command, [
    ['synkti members', 'as the node on this machine sees them'],
    ['synkti members --node 2 --json', 'as node 2 of the development cluster does, for a program'],
    ['synkti members --watch', 'a live table; one line for each change where it goes to no terminal'],
  ]).action((options: Options) => ends(members(options, io)));
}

type Options = Target & { readonly json?: true; readonly watch?: true };

async function members(options: Options, io: Io): Promise<number> {
  const node = await connectTo(options, io);
  if (options.watch === true) {
    const { watchMembers } = await import('./watch.ts');
    await watchMembers(() => node.members(), io, { json: options.json === true });
    return exit.done;
  }
  const list = await node.members();
  if (options.json === true) printJson(io, list);
  else print(io, fitted(list.map(row), io.out));
  return exit.done;
}

/** In the order in which a terminal goes without them: what differs least from row to row first. */
const spare = ['VERSION', 'ROLE', 'MODELS', 'ZONE'];

/** Broken lines are no table. What goes to a program is whole. */
function fitted(rows: readonly (readonly string[])[], out: Io['out']): string {
  const room = out.isTTY === true ? out.columns || Infinity : Infinity;
  let text = columns(head, rows);
  for (let left = 1; left <= spare.length && widthOf(text) > room; left++) {
    const kept = head.flatMap((name, at) => (spare.slice(0, left).includes(name) ? [] : [at]));
    const keep = (cells: readonly string[]): readonly string[] => kept.map((at) => cells[at] ?? '');
    text = columns(keep(head), rows.map(keep));
  }
  return text;
}

const widthOf = (text: string): number => Math.max(...text.split('\n').map((line) => line.length));

const head = ['MEMBER', 'ROLE', 'ZONE', 'HEALTH', 'PHASE', 'ENGINE', 'MODELS', 'LOAD', 'HEARD', 'VERSION'];

const row = (member: MemberStatus): readonly string[] => [
  member.self ? `${member.id} (self)` : member.id,
  member.role,
  member.zone,
  ...conditionOf(member),
  member.models.join(',') || '-',
  member.load === null ? '-' : String(member.load),
  member.self ? '-' : member.heardMs === null ? 'never' : `${span(member.heardMs)} ago`,
  member.version,
];
