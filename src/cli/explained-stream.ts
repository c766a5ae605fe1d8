/** What became of a stream, for a person: one block for each node that it entered by. */
import type { Step, StreamExplanation, StreamStory } from '../node/stream-explanation.ts';
import { columns, span } from './columns.ts';

type Row = readonly [name: string, text: string];

export function streamText({ id, stories, copies, silent }: StreamExplanation): string {
  const held = copies.map(({ member, entry, ended }, at): Row => [
    at === 0 ? 'log held by' : '',
    `${member}, as ${entry} wrote it${ended ? ' to its end' : ''}`,
  ]);
  const unheard: readonly Row[] = silent.length === 0 ? [] : [['no answer', silent.join(', ')]];
  if (stories.length === 0)
    return columns([id, 'known by its log only: nobody who answers has it now'], [...held, ...unheard]);
  const blocks = stories.map((story, at) => {
    const rows = rowsOf(story);
    return columns([story.stream, headOf(story)], at === 0 ? [...rows, ...held, ...unheard] : rows);
  });
  return blocks.join('\n\n');
}

function headOf({ state, why, entry, resumed, begunMs, endedMs, tokens, model }: StreamStory): string {
  const came = resumed ? 'gone on with' : 'begun';
  const end =
    endedMs === null ? '' : `, ${ends[state] ?? state}${why === null ? '' : ` (${why})`} ${ago(endedMs)}`;
  const count = tokens === 0 ? '' : `, ${tokens} tokens`;
  return `${model} at ${entry}, ${came} ${ago(begunMs)}${end === '' ? ', running' : end}${count}`;
}

const ends: Readonly<Record<string, string>> = {
  finished: 'finished',
  failed: 'broke off',
  abandoned: 'left by its client',
  handedOver: 'handed over',
  entryLost: 'ended with its entry node',
  refused: 'refused',
};

const ways: Readonly<Record<string, string>> = {
  ids: 'continued from its token ids',
  derender: 'rendered, generated and derendered from its token ids',
  replay: 'asked again, swallowed and compared',
  whole: 'asked again from its beginning, while nothing is out',
};

/** Where all go on alike, none of them is named. */
function choicesByWay(story: Pick<StreamStory, 'way' | 'ways'>): ReadonlyMap<string, string> {
  const told = Map.groupBy(story.ways.keys(), (choice) => story.ways[choice]!);
  if (told.size < 2) return new Map([[story.way, '']]);
  const named = (choices: readonly number[]): string =>
    `choice${choices.length === 1 ? '' : 's'} ${choices.join(', ')} by `;
  return new Map([...told].map(([way, choices]) => [way, named(choices)]));
}

function rowsOf({ request, serving, replicas, copies, steps, ...story }: StreamStory): readonly Row[] {
  const kept = replicas.length === 0 ? 'none' : `${replicas.join(', ')}; ${copies} have a copy`;
  return [
    ['request', request],
    ...[...choicesByWay(story)].map(([way, choices], at): Row => [
      at === 0 ? 'protected' : '',
      `${story.protected}: ${choices}${way}, ${ways[way] ?? 'by a way of a later version'}`,
    ]),
    [story.endedMs === null ? 'served by' : 'served last by', serving ?? 'nobody'],
    ['replicas', kept],
    ...steps.map((step, at): Row => [at === 0 ? 'steps' : '', stepText(step)]),
  ];
}

function stepText(step: Step): string {
  const when = ago(step.ageMs);
  const who = step.choice === null ? '' : `choice ${step.choice}: `;
  if (step.type === 'unanswered')
    return `${who}${step.member} did not answer: ${step.cause} after ${span(step.waitedMs)}, ${when}`;
  const from = step.tokens === 0 ? 'from the beginning' : `after ${step.tokens} tokens`;
  return `${who}${step.from} -> ${step.to}: ${step.cause}, ${from}, by ${step.way}, stall ${span(step.stallMs)}, ${when}`;
}

const ago = (ms: number): string => `${span(ms)} ago`;
