/**
 * `synkti members --watch`: a live table on a terminal; elsewhere a line for each change, as text or as JSON.
 * A node that no longer answers ends it: who watches a node through its restarts asks again.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { styleText } from 'node:util';
import type { MemberStatus } from '../node/operations.ts';
import { columns, printable, span } from './columns.ts';
import { conditionOf } from './condition.ts';
import { isLive, print, printJson, type Io } from './io.ts';

type Members = readonly MemberStatus[];
type Change = { readonly change: 'there' | 'changed' | 'gone'; readonly member: MemberStatus };

/** How often the node is asked, ms. */
const askMs = 500;

/** Resolves when the person has seen enough. */
export async function watchMembers(
  ask: () => Promise<Members>,
  io: Io,
  options: { readonly json: boolean },
): Promise<void> {
  const enough = new AbortController();
  const deafen = io.onSignal(() => enough.abort());
  const shown = options.json ? jsonLines(io) : isLive(io) ? await liveTable(io) : plainLines(io);
  try {
    while (!enough.signal.aborted) {
      shown.draw(await ask());
      // Woken by the end, which is no failure.
      await pause(askMs, undefined, { signal: enough.signal }).catch(() => undefined);
    }
  } finally {
    shown.close();
    deafen();
  }
}

type Shown = { draw(members: Members): void; close(): void };

async function liveTable(io: Io): Promise<Shown> {
  const { createLogUpdate } = await import('log-update');
  const live = createLogUpdate(io.out as NodeJS.WriteStream);
  return {
    draw: (members) =>
      live(membersScreen(members, { columns: io.out.columns ?? 80, rows: io.out.rows ?? 24 })),
    close: () => live.done(),
  };
}

function plainLines(io: Io): Shown {
  return lines((change) => print(io, changeLine(change)));
}

function jsonLines(io: Io): Shown {
  return lines((change) => printJson(io, { at: Date.now(), ...change }));
}

function lines(tell: (change: Change) => void): Shown {
  let before: Members = [];
  return {
    draw: (members) => {
      for (const change of changesBetween(before, members)) tell(change);
      before = members;
    },
    close: () => {},
  };
}

/** Load and the last word from a member change all the time, and are no change. */
export function changesBetween(before: Members, now: Members): readonly Change[] {
  const gone = before.filter(({ id }) => !now.some((member) => member.id === id));
  const changed = now.flatMap((member): readonly Change[] => {
    const last = before.find(({ id }) => id === member.id);
    if (last === undefined) return [{ change: 'there', member }];
    return lasting(last) === lasting(member) ? [] : [{ change: 'changed', member }];
  });
  return [...gone.map((member): Change => ({ change: 'gone', member })), ...changed];
}

const lasting = (member: MemberStatus): string => JSON.stringify({ ...member, load: null, heardMs: null });

function changeLine({ change, member }: Change): string {
  const { id, zone, health, phase, engine } = member;
  const text =
    change === 'gone' ? 'gone' : health === 'dead' ? health : `${health}, ${phase}, engine ${engine}`;
  return printable(`${new Date().toTimeString().slice(0, 8)} ${id} in ${zone}: ${text}`);
}

/** Fits 80 columns. */
const head = ['MEMBER', 'ZONE', 'HEALTH', 'PHASE', 'ENGINE', 'LOAD', 'HEARD'];
const ranks = { dead: 0, suspect: 1, left: 2, alive: 3 } as const;

/** Where not all have room, those that are not well come first. */
export function membersScreen(
  members: Members,
  size: { readonly columns: number; readonly rows: number },
): string {
  // The head, a blank line, the count, and the line on which the cursor rests.
  const room = Math.max(1, size.rows - 4);
  const fits = members.length <= room;
  const ordered = fits ? members : members.toSorted((a, b) => ranks[a.health] - ranks[b.health]);
  const clip = (line: string): string =>
    line.length <= size.columns ? line : `${line.slice(0, size.columns - 1)}…`;
  const table = columns(head, ordered.slice(0, room).map(row)).split('\n');
  const painted = table.map((line, at) => (at === 0 ? styleText('bold', clip(line)) : paint(clip(line))));
  const unseen = fits ? '' : `, ${members.length - room} not shown`;
  return [...painted, '', `${countText(members)}${unseen}. Ctrl-C ends.`].join('\n');
}

function row(member: MemberStatus): readonly string[] {
  const { id, self, zone, load, heardMs } = member;
  const heard = self ? 'self' : heardMs === null ? 'never' : span(heardMs);
  return [id, zone, ...conditionOf(member), load === null ? '-' : String(load), heard];
}

function countText(members: Members): string {
  const counts = (Object.keys(ranks) as (keyof typeof ranks)[])
    .map((health) => [health, members.filter((member) => member.health === health).length] as const)
    .filter(([, count]) => count > 0);
  return counts
    .toReversed()
    .map(([health, count]) => `${count} ${health}`)
    .join(', ');
}

const colours = [
  [/\bdead\b/, 'red'],
  [/\bsuspect\b/, 'yellow'],
  [/\bleft\b/, 'dim'],
  [/\balive\b/, 'green'],
] as const;

/** Colours come last, so that they count for no width; `styleText` leaves them out where they are not wanted. */
function paint(line: string): string {
  const [pattern, colour] = colours.find(([health]) => health.test(line)) ?? [];
  return pattern === undefined ? line : line.replace(pattern, (found) => styleText(colour!, found));
}
