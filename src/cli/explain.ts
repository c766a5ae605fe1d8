/** `synkti explain`: why one node thinks of another as it does, and what became of a stream. */
import { Argument } from 'commander';
import type { ControlClient } from '../control/client.ts';
import { nearest } from '../config/nearest.ts';
import type { MemberExplanation } from '../node/explanation.ts';
import { Failure } from '../std/failure.ts';
import type { Cli } from './cli.ts';
import { columns, span } from './columns.ts';
import { streamText } from './explained-stream.ts';
import { exit, Misuse, print, printJson, type Io } from './io.ts';
import { jsonOption, withExamples } from './option.ts';
import { connectTo, memberNamed, withTarget, type Target } from './target.ts';

/** Names shown to someone who named a member that is not known. */
const nearMax = 5;

export function explainCommand({ program, io, ends }: Cli): void {
  const command = withTarget(
    program
      .command('explain')
      .summary('tell why a node thinks of a member as it does, or what became of a stream')
      .description(
        'Tells what one node knows of a member: from whom, how old, and which votes. ' +
          'Or what all nodes know of a stream: which way it goes on, from where to where it went, and what stall.',
      )
      .addArgument(new Argument('<what>', 'what to explain').choices(['member', 'stream']))
      .addArgument(
        new Argument('<id>', 'as synkti members, or the header x-synkti-stream, shows it').argParser(named),
      ),
  ).addOption(jsonOption());
  withExamples(command, [
    ['synkti explain member i-0a1b2c3d4e5f67890', 'by what the node on this machine knows'],
    ['synkti explain member i-0a1b2c3d4e5f67890 --node 2 --json', 'by what node 2 knows, for a program'],
    ['synkti explain stream k3TtXb0qRkW1s8Zp4vNcQA', 'by what any node knows; x-request-id names it too'],
  ]).action((what: 'member' | 'stream', id: string, options: Options) =>
    ends(what === 'member' ? member(id, options, io) : stream(id, options, io)),
  );
}

function named(id: string): string {
  if (id.trim() === '') throw new Misuse(`id: ${JSON.stringify(id)} names nobody`);
  return id;
}

type Options = Target & { readonly json?: true };

async function member(id: string, options: Options, io: Io): Promise<number> {
  const node = await connectTo(options, io);
  const explanation = await explanationOf(node, await memberNamed(id, options, io));
  if (options.json === true) printJson(io, explanation);
  else print(io, textOf(explanation));
  return exit.done;
}

async function stream(id: string, options: Options, io: Io): Promise<number> {
  const explanation = await (await connectTo(options, io)).explainStream(id);
  if (options.json === true) printJson(io, explanation);
  else print(io, streamText(explanation));
  return exit.done;
}

/** Failure `missing`, with the members that were perhaps meant. */
async function explanationOf(node: ControlClient, member: string): Promise<MemberExplanation> {
  try {
    return await node.explainMember(member);
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'missing') throw error;
    const known = (await node.members()).map(({ id }) => id);
    const near = known.filter((id) => id.includes(member));
    const close = nearest(member, known);
    const meant = near.length > 0 ? near : close === null ? known : [close];
    const shown = meant.slice(0, nearMax).join(', ') + (meant.length > nearMax ? ', …' : '');
    const said = meant === known ? `it knows ${shown}` : `did you mean ${shown}?`;
    throw new Failure('missing', `member ${member}: not known to this node, ${said}`, error);
  }
}

type Row = readonly [name: string, text: string];

function textOf(member: MemberExplanation): string {
  const { id, self, health, why, sinceMs } = member;
  return columns(
    [self ? `${id} (self)` : id, `${health} for ${span(sinceMs)}: ${reasons[why] ?? why}`],
    [
      ...(self ? [] : bindingRows(member.binding)),
      ['record', recordText(member.record)],
      ...(self ? [] : connectionRows(member)),
      ...observationRows(member),
      ...member.votes.map(({ by, evidence, ageMs, expiresInMs }, at): Row => [
        at === 0 ? 'votes' : '',
        `${by}: ${evidence}, ${ago(ageMs)}, counts for ${span(expiresInMs)} more`,
      ]),
      ...member.deadAccordingTo.map(({ by, ageMs }, at): Row => [
        at === 0 ? 'held dead by' : '',
        `${by}, said ${ago(ageMs)}`,
      ]),
    ],
  );
}

/** In words, what the detector has a word for. */
const reasons: Readonly<Record<string, string>> = {
  bound: 'listed, and not met yet',
  closed: 'its connection closed',
  silent: 'its beats stopped',
  replaced: 'somebody with another key answers at its address',
  request: 'a request to it failed as requests to dead members do',
  votes: 'so its observers voted',
  rumour: 'others hold it dead, and our own probes agree',
  record: 'so says its own record',
  heard: 'it speaks',
  connected: 'it is connected',
  cleared: 'nothing is held against it any more',
  self: 'it is the node that was asked',
};

const ago = (ms: number): string => `${span(ms)} ago`;

function bindingRows(binding: MemberExplanation['binding']): readonly Row[] {
  if (binding === null) return [['listed', 'no']];
  const { peerId, address, zone, role, ageMs, absences, claims } = binding;
  const missed =
    absences === 0 ? '' : `, absent from the last ${absences === 1 ? 'list' : `${absences} lists`}`;
  return [
    ['listed', `${role} in ${zone}, for ${span(ageMs)}${missed}`],
    ['peer id', peerId],
    ['address', address ?? 'none'],
    ...claims.map(({ by, ageMs: age }): Row => ['', `${by} said otherwise ${ago(age)}, and nobody else did`]),
  ];
}

function recordText(record: MemberExplanation['record']): string {
  if (record === null) return 'none has come';
  const { incarnation, sequence, role, version, phase, engine, ageMs, from } = record;
  const source = ageMs === null ? '' : `, from ${from ?? 'gossip'} ${ago(ageMs)}`;
  const says = `${role}, ${phase}, engine ${engine}, version ${version}`;
  return `${says} (incarnation ${incarnation}, sequence ${sequence}${source})`;
}

function connectionRows({ connection }: MemberExplanation): readonly Row[] {
  const { connected, heardMs, dial } = connection;
  const heard = heardMs === null ? 'never heard' : `heard ${ago(heardMs)}`;
  const rows: Row[] = [['connection', `${connected ? 'stands' : 'none'}, ${heard}`]];
  if (dial === null) return rows;
  const next = dial.isUnderWay ? 'one is under way' : `the next in ${span(dial.nextMs)}`;
  return [...rows, ['dials', `${dial.failures} failed, ${next}`]];
}

function observationRows({ observation, self }: MemberExplanation): readonly Row[] {
  const { observers, weObserveIt, itObservesUs, doubt, finding } = observation;
  const ours = self ? '' : weObserveIt ? ', this node among them' : ', this node not among them';
  const theirs = self ? '' : `; it observes ${itObservesUs ? 'us' : 'others'}`;
  const rows: Row[] = [['observers', `${observers.join(', ') || 'none'}${ours}${theirs}`]];
  if (doubt !== null) rows.push(['our doubt', reasons[doubt] ?? doubt]);
  if (finding === null) return rows;
  return [...rows, ['our probe', `${findings[finding.evidence]}, ${ago(finding.ageMs)}`]];
}

const findings: Readonly<Record<'refused' | 'timeout' | 'slow', string>> = {
  refused: 'refused: its kernel says that no process listens',
  timeout: 'timeout: its kernel does not answer',
  slow: 'slow: its kernel answers, its process does not',
};
