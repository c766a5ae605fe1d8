/** `synkti chaos`: what can happen to an instance, done to one of the running development cluster. */
import { Argument, Option } from 'commander';
import { duration } from '../config/kinds.ts';
import type { InstanceView } from '../localcloud/control-operations.ts';
import type { Cli } from './cli.ts';
import { exit, Misuse, print, printJson, type Io } from './io.ts';
import { jsonOption, optionOf, withExamples } from './option.ts';
import { dirOption, nodeOf } from './target.ts';

const acts = ['interrupt', 'kill', 'freeze', 'thaw', 'partition', 'heal'] as const;
type Act = (typeof acts)[number];

type Options = {
  readonly notice?: number;
  readonly rebalanceFirst?: number;
  readonly only?: 'daemon' | 'engine';
  readonly dir?: string;
  readonly json?: true;
};

/** The local cloud answers at once; what it ordered happens afterwards. */
const answerMs = 10_000;
const anyDuration = duration({ minMs: 0, maxMs: 86_400_000 });

export function chaosCommand({ program, io, ends }: Cli): void {
  const command = program
    .command('chaos')
    .summary('break a node of the development cluster')
    .description(
      'Does to a node of the development cluster what happens to instances:\n' +
        '  interrupt  AWS takes it back: a notice, and at its end every process is killed\n' +
        '  kill       it is gone, without notice\n' +
        '  freeze     it stops in mid-air (SIGSTOP); thaw lets it go on\n' +
        '  partition  the other nodes and it do not reach each other; heal joins them again',
    )
    .addArgument(new Argument('<act>', 'what to do').choices(acts))
    .argument('<node>', 'number or instance id of a node')
    .addOption(
      optionOf('--notice', anyDuration, 'interrupt: the time from the notice to the end (default: 2m)'),
    )
    .addOption(
      optionOf(
        '--rebalance-first',
        anyDuration,
        'interrupt: a rebalance recommendation this long before the notice',
      ),
    )
    .addOption(
      new Option('--only <part>', 'kill, freeze, thaw: only this part of the node').choices([
        'daemon',
        'engine',
      ]),
    )
    .addOption(dirOption())
    .addOption(jsonOption());
  withExamples(command, [
    ['synkti chaos interrupt 2 --notice 20s', 'node 2 has 20 seconds to hand over'],
    ['synkti chaos kill 3 --only engine', "node 3's engine crashes"],
    ['synkti chaos freeze 1', 'node 1 hangs; synkti chaos thaw 1 ends that'],
  ]).action((act: Act, node: string, options: Options) => ends(chaos(act, { ...options, node }, io)));
}

async function chaos(act: Act, options: Options & { readonly node: string }, io: Io): Promise<number> {
  refuseUseless(act, options);
  const [{ devDir, needDevState }, { connectControl }] = await Promise.all([
    import('./dev/state.ts'),
    import('../localcloud/control-client.ts'),
  ]);
  const state = await needDevState(devDir(io.env, options.dir));
  const { node, id: instance } = nodeOf(state.nodes, options.node);
  const operate = connectControl(state.cloud);
  const signal = AbortSignal.timeout(answerMs);
  const which = options.only ?? 'instance';
  const done = await (act === 'interrupt'
    ? operate(act, { instance, ...notices(options) }, signal)
    : act === 'partition' || act === 'heal'
      ? operate(act, { instance }, signal)
      : operate(act, { instance, which }, signal));
  if (options.json === true) printJson(io, { act, node, instance, phase: done.phase, notice: done.notice });
  else print(io, outcome(act, node, { ...done, which }));
  return exit.done;
}

const notices = ({ notice, rebalanceFirst }: Options) => ({
  ...(notice === undefined ? {} : { noticeMs: notice }),
  ...(rebalanceFirst === undefined ? {} : { rebalanceFirstMs: rebalanceFirst }),
});

/** A flag that would change nothing was meant to change something. */
function refuseUseless(act: Act, { notice, rebalanceFirst, only }: Options): void {
  if (act !== 'interrupt' && notice !== undefined) throw new Misuse(`--notice: has no meaning for ${act}`);
  if (act !== 'interrupt' && rebalanceFirst !== undefined)
    throw new Misuse(`--rebalance-first: has no meaning for ${act}`);
  if (only !== undefined && !['kill', 'freeze', 'thaw'].includes(act))
    throw new Misuse(`--only: has no meaning for ${act}`);
}

function outcome(act: Act, node: number, done: InstanceView & { readonly which: string }): string {
  const part = done.which === 'instance' ? '' : `'s ${done.which}`;
  const said: Readonly<Record<Act, string>> = {
    interrupt:
      done.notice === null
        ? 'is to get a notice'
        : `has a notice and ends at ${new Date(done.notice.time).toTimeString().slice(0, 8)}`,
    kill: 'is killed',
    freeze: 'is frozen',
    thaw: 'goes on',
    partition: 'is cut off from the others',
    heal: 'reaches the others again',
  };
  return `node ${node}${part} ${said[act]}`;
}
