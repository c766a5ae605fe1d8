/** Looks for the log of a stream among the members that may hold it. */
import { isBelow } from '../journal/fence.ts';
import { ranked, type Candidate } from '../journal/rendezvous.ts';
import { messageBytes, readHeld, type HeldLog } from '../journal/wire.ts';
import type { MemberId } from '../std/member-id.ts';
import { after, type Instant } from '../std/time.ts';
import type { Clock } from './ports.ts';

/** For one who may hold a log: a host that is gone answers nothing. ms */
export const peekMs = 1_000;
/** Once a log is enough, how long the others have to show a newer one, ms. */
const graceMs = 100;
/** A timer that comes later than this came before what the network had to say meanwhile: the others are given their time anew. ms */
const lateMs = 50;
/** Members that are asked for a log at once, and how many at most: copies stand early in the order. */
const peeksAtOnce = 6;
const peeksMax = 60;

/** Asks one member; null: no answer in time. Calls back once, later. */
export type AskMember = (
  member: MemberId,
  message: Uint8Array,
  withinMs: number,
  tell: (answer: Uint8Array | null) => void,
) => void;

/** Where copies of it may be, the likeliest first. */
export const placesOf = (id: string, candidates: readonly Candidate[]): readonly MemberId[] =>
  ranked(id, candidates)
    .slice(0, peeksMax)
    .map((candidate) => candidate.id);

type Wanted = {
  readonly id: string;
  /** What there is of it here: asked at the end, too, for a copy may come meanwhile. */
  readonly ours: () => HeldLog | null;
  readonly places: readonly MemberId[];
  readonly isEnough: (held: HeldLog) => boolean;
};

/** Calls back once, with the best that was found; null: nobody has it. The result gives up. */
export function findLog(
  { id, ours, places, isEnough }: Wanted,
  { ask, clock }: { readonly ask: AskMember; readonly clock: Clock },
  tell: (held: HeldLog | null) => void,
): () => void {
  let best = ours();
  let left = places;
  let open = 0;
  let over = false;
  let disarm: (() => void) | null = null;
  const message = messageBytes({ type: 'peek', id });

  function giveUp(): void {
    over = true;
    disarm?.();
  }

  function finish(): void {
    if (over) return;
    giveUp();
    tell(better(best, ours()));
  }

  function wait(): void {
    const due = after(clock.now(), graceMs);
    disarm = clock.wakeAt(due, () => wake(due));
  }

  function wake(due: Instant): void {
    if (clock.now() - due > lateMs) wait();
    else finish();
  }

  function hear(told: Uint8Array | null): void {
    open -= 1;
    if (over) return;
    best = better(best, told && readHeld(told));
    if (open > 0) {
      if (disarm === null && best !== null && isEnough(best)) wait();
      return;
    }
    // Whoever has a copy stands early in the order: found once, it is not looked for further.
    if (left.length === 0 || best !== null) finish();
    else askNext();
  }

  function askNext(): void {
    const now = left.slice(0, peeksAtOnce);
    left = left.slice(peeksAtOnce);
    open = now.length;
    for (const member of now) ask(member, message, peekMs, hear);
  }

  if (left.length === 0) finish();
  else askNext();
  return giveUp;
}

/** The newer one, and of one writer the longer one. */
export function better(a: HeldLog | null, b: HeldLog | null): HeldLog | null {
  if (a === null || b === null) return a ?? b;
  if (isBelow(a.fence, b.fence)) return b;
  return isBelow(b.fence, a.fence) || a.bytes.length >= b.bytes.length ? a : b;
}
