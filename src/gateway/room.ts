/** A bound on what many hold in memory together. */
export type Room = {
  /** False: there is not so much left, and nothing was taken. */
  take(bytes: number): boolean;
  /** What was taken and is held no more. */
  giveBack(bytes: number): void;
};

export function roomFor(bytesMax: number): Room {
  let taken = 0;
  return {
    take: (bytes) => {
      if (taken + bytes > bytesMax) return false;
      taken += bytes;
      return true;
    },
    giveBack: (bytes) => void (taken -= bytes),
  };
}
