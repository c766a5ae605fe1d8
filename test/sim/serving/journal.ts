/** How a node asks another about logs: over a connection to its listener, kept for the next question. */
import type { AskMember } from '../../../src/node/finding.ts';
import type { MemberId } from '../../../src/std/member-id.ts';
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
  const idle = new Map<MemberId, Wire>();

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
    const run = (wire: Wire): void => {
      if (isOver) return wire.abort();
      used = wire;
      wire.ears = {
        heard: (message) => {
          idle.get(member)?.abort();
          idle.set(member, wire);
          wire.ears = { heard: () => wire.abort(), lost: () => {} };
          end((message as JournalReply).bytes);
        },
        lost: () => end(null),
      };
      wire.send(sent);
    };
    place.process.receive(now() + withinMs, () => end(null));
    const kept = idle.get(member);
    idle.delete(member);
    if (kept?.open === true) return run(kept);
    const to = listener(member);
    if (to === null) return;
    wires.dial(place, to.place, {
      met: (theirs) => to.accept(theirs),
      done: (ours) => {
        if (ours === null) end(null);
        else run(ours);
      },
    });
  };
}
