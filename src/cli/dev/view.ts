/** What `synkti dev` shows: a live table on a terminal, lines elsewhere. Pure: samples and events in, text out. */
import { styleText } from 'node:util';
import { columns, printable, span } from '../columns.ts';
import type { DevEvent } from './cluster.ts';
import type { Sample } from './sample.ts';

export type Size = { readonly columns: number; readonly rows: number };

/** Rows of the table that always show, whatever the terminal's height. */
const eventsMin = 3;

/** Fits the terminal: the newest events fill what the table leaves. */
export function screen(
  samples: readonly Sample[],
  events: readonly string[],
  { size, now }: { readonly size: Size; readonly now: number },
): string {
  const table = coloured(
    columns(
      head,
      samples.map((sample) => row(sample, now)),
    ),
    samples,
  );
  const lines = table.split('\n').map((line) => clipped(line, size.columns));
  // Two blank lines, the last line, and the one on which the cursor rests.
  const room = Math.max(eventsMin, size.rows - lines.length - 4);
  const shown = events.slice(-room).map((line) => styleText('dim', clipped(line, size.columns)));
  return [
    '',
    ...lines,
    '',
    ...shown,
    styleText('bold', clipped('Ctrl-C stops everything.', size.columns)),
  ].join('\n');
}

const head = ['NODE', 'ZONE', 'PHASE', 'ENGINE', 'RUNNING', 'WAITING', 'TOKENS/S', 'MEMBERS', 'MOVED'];

function row({ node, status, tokensPerSecond }: Sample, now: number): readonly string[] {
  if (status === null) return [`${node.node}`, node.zone, 'no answer', ...Array<string>(6).fill('-')];
  const { engine, members, streams } = status;
  return [
    `${node.node}`,
    node.zone,
    phase(status, now),
    engine.phase,
    `${engine.running}`,
    `${engine.waiting}`,
    tokensPerSecond === null ? '-' : `${Math.round(tokensPerSecond)}`,
    // Itself included: what a person counts.
    members.suspect === 0 ? `${members.alive + 1}` : `${members.alive + 1}+${members.suspect}?`,
    `${streams.moved}`,
  ];
}

function phase({ life }: NonNullable<Sample['status']>, now: number): string {
  return life.phase === 'draining' ? `draining ${span(Math.max(0, life.deadline - now))}` : life.phase;
}

const colours = [
  [/\bserving\b/, 'green'],
  [/\bdraining\b.*? m?s\b/, 'yellow'],
  [/\bno answer\b/, 'red'],
] as const;

/** Colours come last, so that they count for no width; `styleText` leaves them out where they are not wanted. */
function coloured(table: string, samples: readonly Sample[]): string {
  const [title = '', ...lines] = table.split('\n');
  const painted = lines.slice(0, samples.length).map((line) => {
    const [pattern, colour] = colours.find(([pattern]) => pattern.test(line)) ?? [];
    return pattern === undefined ? line : line.replace(pattern, (found) => styleText(colour!, found));
  });
  return [styleText('bold', title), ...painted].join('\n');
}

/** Escape sequences have no width of their own. */
function clipped(line: string, width: number): string {
  // eslint-disable-next-line no-control-regex
  const plain = line.replace(/\u001b\[\d+m/g, '');
  return plain.length <= width ? line : `${plain.slice(0, width - 1)}…`;
}

/** `10:15:02 node 2  engine.ready afterMs=312`. */
export function eventLine({ node, said }: DevEvent): string {
  const who = node === null ? 'cloud ' : `node ${node}`;
  if (typeof said === 'string') return `${clock(Date.now())} ${who}  ${printable(said)}`;
  const { fact, level, time, ...fields } = said;
  const shown = Object.entries(fields).map(([name, value]) => ` ${name}=${value}`);
  const mark = level === 'error' || level === 'warn' ? `${level}: ` : '';
  const at = typeof time === 'number' ? time : Date.now();
  return printable(`${clock(at)} ${who}  ${mark}${fact}${shown.join('')}`);
}

const clock = (ms: number): string => new Date(ms).toTimeString().slice(0, 8);
