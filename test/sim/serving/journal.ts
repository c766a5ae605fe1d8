/** How a node asks another about logs: over a connection to its listener, kept for the next question.
 * As in a daemon, what is asked by a connection that turns out to be gone, after a silence, is asked by a new one. */
import type { AskMember } from '../../../src/node/finding.ts';
import type { MemberId } from '../../../src/std/member-id.ts';
import { quietMs } from '../../../src/wire/asking.ts';
import type { Listener } from './legs.ts';
import type { Place, Wire, Wires } from './wires.ts';

export type JournalAsk = { readonly type: 'journal'; readonly from: MemberId; readonly bytes: Uint8Array };
export type JournalReply = { readonly type: 'journal'; readonly bytes: Uint8Array | null };

type Ports = {
  readonly self: MemberId;
  readonly wires: Wires;
  readonly now: () => number;
  readonly listener: (member: MemberId) => Listener | null;
};

export function askOver(place: Place, { self, wires, now, listener }: Ports): AskMember {
  const idle = new Map<MemberId, { readonly wire: Wire; readonly since: number }>();

  return (member, message, withinMs, tell) => {
    const sent: JournalAsk = { type: 'journal', from: self, bytes: message };
    let isOver = false;
    let used: Wire | null = null;
    const end = (answer: Uint8Array | null): void => {
      if (isOver) return;
      isOver = true;
      if (answer === null) used?.abort();
      tell(answer);
    };
    const run = (wire: Wire, again: (() => void) | null): void => {
      if (isOver) return wire.abort();
      used = wire;
      wire.ears = {
        heard: (message) => {
          idle.get(member)?.wire.abort();
          idle.set(member, { wire, since: now() });
          wire.ears = { heard: () => wire.abort(), lost: () => {} };
          end((message as JournalReply).bytes);
        },
        lost: () => (again === null ? end(null) : again()),
      };
      wire.send(sent);
    };
    place.process.receive(now() + withinMs, () => end(null));
    const dial = (): void => {
      const to = listener(member);
      if (to === null || isOver) return;
      wires.dial(place, to.place, {
        met: (theirs) => to.accept(theirs),
        done: (ours) => {
          if (ours === null) end(null);
          else run(ours, null);
        },
      });
    };
    const kept = idle.get(member);
    idle.delete(member);
    if (kept?.wire.open !== true) return dial();
    run(kept.wire, now() - kept.since >= quietMs ? dial : null);
  };
}
