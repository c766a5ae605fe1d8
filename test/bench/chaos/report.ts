/** What a run found, as a program reads it (`--json`) and as a person does. Times in milliseconds. */
import { spread } from '../membership/numbers.ts';
import type { Leave } from './faults.ts';
import type { FaultName, Suite } from './plan.ts';
import type { StreamFact } from './site.ts';
import type { Stream } from './traffic.ts';

export type Report = {
  readonly fault: FaultName;
  readonly times: number;
  readonly streams: number;
  /** Did not come to their end. */
  readonly cut: number;
  readonly wrongTokens: number;
  readonly doubledTokens: number;
  /** Continued by their client at another entry node. */
  readonly resumed: number;
  /** Continued by their entry node on another engine. */
  readonly moved: number;
  /** The longest wait of those that went on elsewhere from where they were, less what is usual in them; null: none did. */
  readonly addedStall: Stall | null;
  /** The same of all streams but those of `replayStall`: one that waited and that nobody calls moved is here at least. */
  readonly anyStall: Stall | null;
  /** From a notice; null: there was none. */
  readonly admissionOff: { readonly max: number | null };
  readonly empty: { readonly max: number | null };
  /** Ended with their entry node, and their client could not go on elsewhere. */
  readonly entryLost: number;
  /** Cut, or other than undisturbed, of what its head had not called exact; only where that may be. */
  readonly declared?: number;
  /** Of those that were asked again from their beginning, which takes as long as what was said already. */
  readonly replayStall?: Stall | null;
};

type Stall = { readonly p50: number; readonly p99: number; readonly max: number };

export type Findings = {
  readonly fault: FaultName;
  readonly suite: Suite;
  readonly times: number;
  readonly told: readonly Stream[];
  readonly facts: readonly StreamFact[];
  readonly leaves: readonly Leave[];
};

/** The plain suite asks only what has to be answered, and rightly, whatever the head says. */
const isDeclared = (suite: Suite, stream: Stream): boolean =>
  suite === 'mixed' && stream.isDeclared && isAmiss(stream);

export const isAmiss = ({ cut, wrong, doubled }: Stream): boolean => cut !== null || wrong + doubled > 0;

/** Those that waited longest for their next word, in words. */
export function longestWaits({ told }: Findings, count: number): readonly string[] {
  const sorted = [...told].sort((a, b) => b.longestMs - a.longestMs).slice(0, count);
  return sorted.map((stream) => `${stream.question} ${stream.id}: waited ${Math.round(stream.longestMs)} ms`);
}

export const complaintOf = (stream: Stream): string =>
  `${stream.question} ${stream.id}${stream.isDeclared ? ', declared' : ''}: ${stream.cut ?? 'complete'}, ` +
  `${stream.wrong} wrong, ${stream.doubled} doubled${stream.how === undefined ? '' : `: ${stream.how}`}`;

export function reportOf({ fault, suite, times, told, facts, leaves }: Findings): Report {
  const held = told.filter((stream) => !isDeclared(suite, stream));
  const moves = facts.filter(({ fact }) => fact === 'stream.moved');
  const among = (some: readonly StreamFact[]): readonly Stream[] => {
    const requests = new Set(some.map(({ request }) => request));
    return told.filter(({ id }) => requests.has(id));
  };
  const moved = among(moves);
  const resumed = told.filter((stream) => stream.resumed > 0);
  const elsewhere = [...new Set([...moved, ...resumed])];
  // Plain ones are never asked again from their beginning. An entry node that goes on with an answer does not call it a move.
  const replays = facts.filter(({ way }) => /\b(replay|whole)\b/.test(way ?? ''));
  const again = new Set(suite === 'mixed' ? among(replays) : []);
  const replayed = elsewhere.filter((stream) => again.has(stream));
  const bounded = elsewhere.filter((stream) => !again.has(stream));
  return {
    fault,
    times,
    streams: told.length,
    cut: held.filter(({ cut }) => cut !== null).length,
    wrongTokens: sum(held.map(({ wrong }) => wrong)),
    doubledTokens: sum(held.map(({ doubled }) => doubled)),
    resumed: resumed.length,
    moved: moved.length,
    addedStall: stallOf(bounded),
    anyStall: stallOf(told.filter((stream) => !again.has(stream))),
    admissionOff: { max: latest(leaves.map(({ admissionOffMs }) => admissionOffMs)) },
    empty: { max: latest(leaves.map(({ emptyMs }) => emptyMs)) },
    entryLost: facts.filter(({ fact }) => fact === 'stream.entryLost').length,
    ...(suite === 'mixed' ? { declared: told.length - held.length, replayStall: stallOf(replayed) } : {}),
  };
}

/** How often a request, or a choice of one, that nobody had begun to answer waited in vain for a member for which it had waited before. */
export function waitedTwice({ facts }: Findings): number {
  const waits = facts.filter(({ fact, tokens }) => fact === 'stream.unanswered' && tokens === 0);
  const places = waits.map(({ request, choice, member }) => `${request} ${choice} ${member}`);
  return places.length - new Set(places).size;
}

function stallOf(streams: readonly Stream[]): Stall | null {
  const stalls = streams.map(({ longestMs, usualMs }) => Math.round(longestMs - usualMs));
  return stalls.length === 0 ? null : spread(stalls);
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

/** One that never came is later than any. */
const latest = (times: readonly (number | null)[]): number | null =>
  times.length === 0 ? null : Math.max(...times.map((ms) => ms ?? Number.MAX_SAFE_INTEGER));

export function inWords(report: Report): string {
  const { addedStall, anyStall, admissionOff, empty } = report;
  const inMs = (stall: Stall | null): string =>
    stall === null ? 'none' : `p50 ${stall.p50}, p99 ${stall.p99}, max ${stall.max} ms`;
  const rows = [
    [report.fault, `${report.times} times`],
    [
      'streams',
      `${report.streams} started, ${report.cut} cut, ${report.entryLost} lost with their entry node`,
    ],
    ['tokens', `${report.wrongTokens} wrong, ${report.doubledTokens} doubled`],
    ['hit', `${report.moved} moved to another engine, ${report.resumed} resumed at another node`],
    ['added stall', inMs(addedStall)],
    ['of all streams', inMs(anyStall)],
    ...(admissionOff.max === null ? [] : [['notice', `admission off after ${admissionOff.max} ms at most`]]),
    ...(empty.max === null ? [] : [['', `engine empty after ${empty.max} ms at most`]]),
  ];
  return rows.map(([what = '', how]) => `${what.padEnd(16)}${how}\n`).join('');
}
