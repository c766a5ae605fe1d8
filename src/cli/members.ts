/** `synkti members`: who is in the cluster, as one node sees it. */
import type { MemberStatus } from '../node/operations.ts';
import type { Cli } from './cli.ts';
import { columns, span } from './columns.ts';
import { exit, print, printJson, type Io } from './io.ts';
import { jsonOption, withExamples } from './option.ts';
import { connectTo, withTarget, type Target } from './target.ts';

export function membersCommand({ program, io, ends }: Cli): void {
  const command = withTarget(
    program
      .command('members')
      .summary('list the members of the cluster')
      .description('Lists the members of the cluster as one node sees them.'),
  ).addOption(jsonOption());
  withExamples(command, [
    ['synkti members', 'as the node on this machine sees them'],
    ['synkti members --node 2 --json', 'as node 2 of the development cluster does, for a program'],
  ]).action((options: Target & { json?: true }) => ends(members(options, io)));
}

async function members(options: Target & { readonly json?: true }, io: Io): Promise<number> {
  const list = await (await connectTo(options, io)).members();
  if (options.json === true) printJson(io, list);
  else print(io, columns(head, list.map(row)));
  return exit.done;
}

const head = ['MEMBER', 'ROLE', 'ZONE', 'HEALTH', 'PHASE', 'ENGINE', 'MODELS', 'LOAD', 'HEARD', 'VERSION'];

const row = (member: MemberStatus): readonly string[] => [
  member.self ? `${member.id} (self)` : member.id,
  member.role,
  member.zone,
  member.health,
  member.phase,
  member.engine,
  member.models.join(',') || '-',
  member.load === null ? '-' : String(member.load),
  member.self ? '-' : member.heardMs === null ? 'never' : `${span(member.heardMs)} ago`,
  member.version,
];
