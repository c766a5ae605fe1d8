/**
 * What a node that leaves does about the logs that it holds. The entry node of each has seen it go, and makes the copy anew
 * elsewhere; unless it is gone itself, or was started again and knows nothing of it. Then nobody but a holder can.
 *
 *   held ──its entry node is there, in the session in which it wrote it, or has what it took over──► left to that one
 *     └──else──► given to others, until two have it, nobody is left to ask, or the time is up
 *
 * When a node dies with its copies, those that have the others see to it (`last-copies.ts`).
 */
import { nextPlace, type Candidate } from '../journal/rendezvous.ts';
import { messageBytes, readVerdicts, type AskedLog, type HandedLog, type Message } from '../journal/wire.ts';
import { after } from '../std/time.ts';
import type { AskMember } from './finding.ts';
import type { Clock } from './ports.ts';

/** As many as a log has copies, and so many members are asked to take one. */
const copiesWanted = 2;
const placesMax = 4;
/** What is handed on, each as often as it has copies: what one entry node has at once, and what goes out in a second. */
const logsMax = 4_000;
const bytesMax = 64 * 1_024 ** 2;
/** Of one message, bytes; a log goes in one piece. */
const messageBytesMax = 1_024 ** 2;
/** Who does not answer within this part of the time is not waited for: then there is some for others. */
const answerShare = 0.3;

/** `orphaned`: logs that nobody else looked after. `taken`: those of them that another node has now. */
export type HandedOn = { readonly orphaned: number; readonly taken: number };

export type Ports = {
  readonly zone: string;
  readonly clock: Clock;
  readonly ask: AskMember;
  /** Members that may take a log. */
  readonly candidates: readonly Candidate[];
  /** Members that answer as far as we know; those that leave are among them. */
  readonly present: readonly Candidate[];
};

/** Calls back once. */
export function handOn(
  logs: readonly HandedLog[],
  withinMs: number,
  ports: Ports,
  tell: (handed: HandedOn) => void,
): void {
  const { clock } = ports;
  let orphaned = 0;
  let orphans: readonly Orphan[] = [];
  let isOver = false;
  const finish = (): void => {
    if (isOver) return;
    isOver = true;
    disarm();
    tell({ orphaned, taken: orphans.filter(({ copies }) => copies > 0).length });
  };
  const disarm = clock.wakeAt(after(clock.now(), withinMs), finish);
  const answerMs = withinMs * answerShare;
  seekOrphans(logs, answerMs, ports, (found) => {
    if (isOver) return;
    orphaned = found.length;
    orphans = chosen(found);
    giveAway(orphans, copiesWanted, answerMs, { ...ports, isOver: () => isOver, done: finish });
  });
}

/** Those that no entry node looks after. One that does not answer is taken at membership's word. */
export function seekOrphans(
  logs: readonly HandedLog[],
  answerMs: number,
  { ask, present }: Ports,
  tell: (orphans: readonly HandedLog[]) => void,
): void {
  const orphans: HandedLog[] = [];
  const groups = Map.groupBy(logs, ({ fence, session }) => `${fence.by} ${session}`);
  let open = 1;
  const judged = (): void => {
    if (--open === 0) tell(orphans);
  };
  for (const group of groups.values()) {
    const { fence, session } = group[0]!;
    const entry = present.find(({ id }) => id === fence.by);
    if (entry === undefined) orphans.push(...group);
    if (entry === undefined) continue;
    open += 1;
    // Who took a log over may have given up before it wrote a word of it.
    const question: Message =
      session === null ? { type: 'have', logs: group.map(askedOf) } : { type: 'session', session };
    ask(entry.id, messageBytes(question), answerMs, (answer) => {
      const verdicts = answer && readVerdicts(answer);
      const lacks = new Set(verdicts?.map(({ number }) => number));
      const isAll = verdicts === null ? !entry.isFit : session !== null && lacks.size > 0;
      orphans.push(...group.filter((_, number) => isAll || (session === null && lacks.has(number))));
      judged();
    });
  }
  judged();
}

export const askedOf = ({ id, fence, bytes }: HandedLog): AskedLog => ({ id, fence, length: bytes.length });

type Orphan = {
  readonly log: HandedLog;
  readonly asked: Candidate[];
  /** Members that have it now. */
  copies: number;
};

/** Those that run, and were spoken of last, have most of their time left: their clients are the likeliest to come. */
export function chosen(logs: readonly HandedLog[]): readonly Orphan[] {
  const order = logs.toSorted((a, b) => b.leftMs - a.leftMs);
  let bytes = 0;
  return order.slice(0, logsMax).flatMap((log) => {
    if (bytes + log.bytes.length > bytesMax) return [];
    bytes += log.bytes.length;
    return [{ log, asked: [], copies: 0 }];
  });
}

/** To so many others each; what became of it stands in each. One message is under way to each member at a time. */
export function giveAway(
  orphans: readonly Orphan[],
  copies: number,
  answerMs: number,
  ports: Ports & { readonly isOver: () => boolean; readonly done: () => void },
): void {
  const { ask, zone, isOver, done } = ports;
  const candidates = new Set(ports.candidates);
  const waiting = new Map<Candidate, Orphan[]>();
  const busy = new Set<Candidate>();

  function place(orphan: Orphan): void {
    const { log, asked } = orphan;
    if (asked.length === placesMax) return;
    const others = [...candidates].filter((one) => !asked.includes(one));
    const next = nextPlace(log.id, others, [zone, ...asked.map((one) => one.zone)]);
    if (next === null) return;
    asked.push(next);
    const queue = waiting.get(next);
    if (queue === undefined) waiting.set(next, [orphan]);
    else queue.push(orphan);
  }

  function send(): void {
    for (const [member, queue] of waiting) {
      if (busy.has(member)) continue;
      const batch = queue.splice(0, fitting(queue));
      if (queue.length === 0) waiting.delete(member);
      busy.add(member);
      const message = messageBytes({ type: 'hand', logs: batch.map(({ log }) => log) });
      ask(member.id, message, answerMs, (answer) => hear(member, batch, answer));
    }
    if (busy.size === 0) done();
  }

  function hear(member: Candidate, batch: readonly Orphan[], answer: Uint8Array | null): void {
    busy.delete(member);
    if (isOver()) return;
    const verdicts = answer && readVerdicts(answer);
    const refused = new Set(verdicts?.map(({ number }) => number) ?? batch.keys());
    for (const [number, orphan] of batch.entries())
      if (refused.has(number)) place(orphan);
      else orphan.copies += 1;
    if (verdicts === null) giveUpOn(member);
    send();
  }

  /** It answers nothing, or knows nothing of this. */
  function giveUpOn(member: Candidate): void {
    const queue = waiting.get(member) ?? [];
    candidates.delete(member);
    waiting.delete(member);
    queue.forEach(place);
  }

  for (let copy = 0; copy < copies; copy++) orphans.forEach(place);
  send();
}

/** How many of them make one message. */
function fitting(queue: readonly Orphan[]): number {
  let bytes = 0;
  const end = queue.findIndex(({ log }) => (bytes += log.bytes.length) > messageBytesMax);
  return end === -1 ? queue.length : Math.max(1, end);
}
