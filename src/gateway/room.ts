/** A room of this node for what nobody takes away again, divided between keys as std/room.ts has it. */
import { giveBack, lackOf, newRoom, put, type Lack } from '../std/room.ts';

/** What one owner may have of it. */
export type Share = {
  /** Why there is not so much for it; null: there is. */
  lack(amount: number): Lack | null;
  /** Why there is not so much for it, and nothing was taken; null: it has it. */
  take(amount: number): Lack | null;
  /** What was taken and is held no more. */
  giveBack(amount: number): void;
};

export type Room = {
  of(owner: string): Share;
};

export function roomFor(max: number): Room {
  const room = newRoom(max);
  return {
    of: (owner) => ({
      lack: (amount) => lackOf(room, owner, amount),
      take: (amount) => {
        const lack = lackOf(room, owner, amount);
        if (lack === null) put(room, owner, amount);
        return lack;
      },
      giveBack: (amount) => giveBack(room, owner, amount),
    }),
  };
}
