/** What `synkti dev` shows: a live table on a terminal, lines elsewhere. Pure: samples and events in, text out. */
import { styleText } from 'node:util';
import { columns, printable } from '../columns.ts';
import type { DevEvent } from './cluster.ts';
import type { Sample } from './sample.ts';

type Size = { readonly columns: number; readonly rows: number };

/** Lines of events that always show, however little room there is. */
const eventsMin = 5;

/** The newest events fill what table and introduction, which scrolled by above, leave of the terminal. */
export function screen(
  samples: readonly Sample[],
  events: readonly string[],
  shown: { readonly size: Size; readonly introLines: number; readonly now: number },
): string {
  const { size, introLines, now } = shown;
  const rows = samples.map((sample) => row(sample, now));
  const table = columns(head, rows).split('\n');
  const clip = (line: string): string => clipped(line, size.columns);
  const painted = table.map((line, at) => (at === 0 ? styleText('bold', clip(line)) : paint(clip(line))));
  // Two blank lines, the last line, and the one on which the cursor rests.
  const room = Math.max(eventsMin, size.rows - introLines - table.length - 4);
  const said = events.slice(-room).map((line) => styleText('dim', clip(line)));
  return ['', ...painted, '', ...said, 'Ctrl-C stops everything.'].join('\n');
}

/** What the text takes of a terminal, which breaks lines that are longer than its own. */
export const linesOn = (text: string, columns: number): number =>
  text.split('\n').reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / columns)), 0);

/** Fits 80 columns. */
const head = ['NODE', 'ZONE', 'PHASE', 'ENGINE', 'RUN', 'WAIT', 'TOKENS/S', 'MEMBERS', 'MOVED'];

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
    members.suspect === 0 ? `${members.alive + 1}` : `${members.alive + 1} (${members.suspect}?)`,
    `${streams.moved}`,
  ];
}

function phase({ life }: NonNullable<Sample['status']>, now: number): string {
  if (life.phase !== 'draining') return life.phase;
  return `draining ${Math.max(0, Math.ceil((life.deadline - now) / 1_000))}s`;
}

const colours = [
  [/\bserving\b/, 'green'],
  [/\b(draining \d+s|joining|left)\b/, 'yellow'],
  [/\bno answer\b/, 'red'],
] as const;

/** Colours come last, so that they count for no width; `styleText` leaves them out where they are not wanted. */
function paint(line: string): string {
  const [pattern, colour] = colours.find(([pattern]) => pattern.test(line)) ?? [];
  return pattern === undefined ? line : line.replace(pattern, (found) => styleText(colour!, found));
}

const clipped = (line: string, width: number): string =>
  line.length <= width ? line : `${line.slice(0, width - 1)}…`;

/** `10:15:02 node 2  engine.ready afterMs=312`. Instances that are known go by their node's number. */
export function eventLine({ node, said }: DevEvent, numbers: ReadonlyMap<string, number>): string {
  const who = node === null ? 'cloud ' : `node ${node}`;
  if (typeof said === 'string') return printable(`${clock(Date.now())} ${who}  ${said}`);
  const { fact, level, time, ...fields } = said as Record<string, unknown>;
  const shown = Object.entries(fields).map(([name, value]) => ` ${name}=${valueText(value, numbers)}`);
  const mark = level === 'error' || level === 'warn' ? `${level}: ` : '';
  return printable(`${clock(Number(time ?? Date.now()))} ${who}  ${mark}${String(fact)}${shown.join('')}`);
}

function valueText(value: unknown, numbers: ReadonlyMap<string, number>): string {
  if (typeof value === 'number') return String(Math.round(value));
  const number = numbers.get(String(value));
  return number === undefined ? String(value) : `node-${number}`;
}

const clock = (ms: number): string => new Date(ms).toTimeString().slice(0, 8);
