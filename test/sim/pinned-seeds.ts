/** Seeds that found something, each with what it was. They are run with every `npm test`. */
type PinnedSeed = {
  readonly seed: number;
  readonly nodes: number | null;
  /** Of the seed's schedule; null: all. */
  readonly only: readonly number[] | null;
  readonly found: string;
};

export const pinnedSeeds: readonly PinnedSeed[] = [
  {
    seed: 52,
    nodes: null,
    only: [20],
    found: 'a peer that is killed while it answers a dial leaves the other end with a connection to nobody',
  },
  {
    seed: 46,
    nodes: null,
    only: [55, 57, 68],
    found:
      'whoever has the address of a terminated instance answers its probes: it stays suspect until EC2 says',
  },
];
