/**
 * What a holder does when members are lost: of a log whose entry node is among them nobody makes a new copy when the other
 * holder goes too, unless a holder does. A client that comes back takes the log over, and it has two copies again; until
 * then the last one goes to another member.
 *
 *   a member is lost, or ──a moment──► logs without an ──► another member has it, or knows its entry node: left
 *   was started again                  entry node      └─► nobody: given to one more
 *
 * Asked are the members that are likeliest to have it, and those see whether it is only we who lost sight of its entry node.
 */
import { silentMs } from '../journal/holder.ts';
import { nextPlace } from '../journal/rendezvous.ts';
import { messageBytes, readVerdicts, type HandedLog } from '../journal/wire.ts';
import type { MemberId } from '../std/member-id.ts';
import { after, type Instant } from '../std/time.ts';
import { peekMs, placesOf } from './finding.ts';
import type { Report } from './facts.ts';
import { askedOf, chosen, giveAway, seekOrphans, type Ports as HandingPorts } from './handing-on.ts';

/** Who lost an entry node comes back at once; what is taken over by then needs nobody. ms */
const settleMs = 3_000;
/** How many logs are seen to at a time, and how long the next ones wait, ms: each is placed among all members. */
const logsAtOnce = 200;
const restMs = 1_000;
/** Of those that are likeliest to have a log so many are asked; a copy that none of them knows of is made once more. */
const askedMax = 6;
/** For one message of logs, and for all of a time, ms. */
const answerMs = 2_000;
const givingMs = 20_000;

type Ports = Pick<HandingPorts, 'zone' | 'clock' | 'ask'> & {
  readonly self: MemberId;
  readonly candidates: () => HandingPorts['candidates'];
  readonly present: () => HandingPorts['present'];
  /** All that are held here. */
  readonly logs: () => readonly HandedLog[];
  readonly report: Report;
};

export type LastCopies = {
  /** This member is there no more, or knows nothing any more of what it wrote. */
  lost(member: MemberId): void;
  close(): void;
};

export function openLastCopies(ports: Ports): LastCopies {
  const { self, clock, logs, present } = ports;
  /** As long as they may have left logs behind. */
  const lostAt = new Map<MemberId, Instant>();
  let disarm: (() => void) | null = null;
  let giveUp = (): void => {};
  let isBusy = false;
  let isClosed = false;
  /** A loss since the last look. */
  let isDue = false;
  let left: readonly string[] = [];

  const arm = (ms: number): void => {
    if (isClosed || isBusy) return;
    disarm ??= clock.wakeAt(after(clock.now(), ms), look);
  };

  function look(): void {
    disarm = null;
    const here = new Set(present().map(({ id }) => id));
    const isLeft = ({ fence: { by }, session, leftMs }: HandedLog): boolean =>
      leftMs > 0 && by !== self && (!here.has(by) || lostAt.has(by) || session === null);
    const orphans = new Map(logs().flatMap((log) => (isLeft(log) ? [[log.id, log]] : [])));
    if (isDue) left = [...orphans.keys()];
    isDue = false;
    const now = left.slice(0, logsAtOnce).flatMap((id) => orphans.get(id) ?? []);
    left = left.slice(logsAtOnce);
    if (now.length === 0 && left.length === 0) return;
    isBusy = true;
    giveUp = seeTo(now, { ...ports, candidates: ports.candidates(), present: present() }, () => {
      isBusy = false;
      if (isDue) arm(settleMs);
      else if (left.length > 0) arm(restMs);
    });
  }

  return {
    lost: (member) => {
      const now = clock.now();
      for (const [id, at] of lostAt) if (now - at > silentMs) lostAt.delete(id);
      lostAt.set(member, now);
      isDue = true;
      arm(settleMs);
    },
    close: () => {
      isClosed = true;
      disarm?.();
      giveUp();
    },
  };
}

/** Calls back once; the result gives up. */
function seeTo(
  logs: readonly HandedLog[],
  ports: HandingPorts & { readonly report: Report },
  done: () => void,
): () => void {
  const { clock, report } = ports;
  let isOver = false;
  let alone = 0;
  let given: ReturnType<typeof chosen> = [];
  const finish = (): void => {
    if (isOver) return;
    isOver = true;
    disarm();
    const recopied = given.filter(({ copies }) => copies > 0).length;
    if (recopied > 0) report({ fact: 'journal.recopied', logs: recopied });
    if (recopied < alone) report({ fact: 'journal.alone', logs: alone - recopied });
    done();
  };
  const disarm = clock.wakeAt(after(clock.now(), givingMs), finish);
  seekOrphans(logs, peekMs, ports, (orphans) => {
    seekLast(orphans, ports, (last) => {
      if (isOver) return;
      alone = last.length;
      given = chosen(last);
      giveAway(given, 1, answerMs, { ...ports, isOver: () => isOver, done: finish });
    });
  });
  return () => {
    isOver = true;
    disarm();
  };
}

/** Those that nobody else is known to have, nor to look after. */
function seekLast(
  orphans: readonly HandedLog[],
  { ask, present, candidates, zone }: HandingPorts,
  tell: (last: readonly HandedLog[]) => void,
): void {
  const here = new Set(present.map(({ id }) => id));
  const asked = new Map<MemberId, HandedLog[]>();
  for (const log of orphans) {
    // Among them the one to which it went, or will go.
    const next = nextPlace(log.id, candidates, [zone]);
    const places = [...(next === null ? [] : [next.id]), ...placesOf(log.id, present).slice(0, askedMax)];
    for (const member of new Set(places)) {
      const its = asked.get(member);
      if (its === undefined) asked.set(member, [log]);
      else its.push(log);
    }
  }
  const kept = new Set<HandedLog>();
  let open = asked.size + 1;
  const judged = (): void => {
    if (--open === 0) tell(orphans.filter((log) => !kept.has(log)));
  };
  for (const [member, its] of asked) {
    ask(member, messageBytes({ type: 'have', logs: its.map(askedOf) }), peekMs, (answer) => {
      const verdicts = answer && readVerdicts(answer);
      const whyByPlace = new Map(verdicts?.map(({ number, why }) => [number, why]));
      for (const [place, log] of verdicts === null ? [] : its.entries()) {
        const why = whyByPlace.get(place);
        // What we know of an entry node that was started again, others need not.
        if (why === undefined || (why === 'fenced' && !here.has(log.fence.by))) kept.add(log);
      }
      judged();
    });
  }
  judged();
}
