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
  {
    seed: 191,
    nodes: null,
    only: null,
    found: 'votes of four observers, read by a slow process long after they were cast, were a false death',
  },
  {
    seed: 88,
    nodes: null,
    only: null,
    found: 'one that lies and one whose own link is cut were half of four observers, and a false death',
  },
  {
    seed: 86,
    nodes: null,
    only: null,
    found:
      'two observers whose votes never met, among others who had forgotten the member, held it suspect for ever',
  },
  {
    seed: 261,
    nodes: null,
    only: null,
    found:
      'a newcomer took one for alive that was known to it by its record, and whose address another machine has',
  },
  {
    seed: 278,
    nodes: null,
    only: null,
    found:
      'a host whose accept queue was filled twice at a time kept the short one, and looked dark when it froze',
  },
  {
    seed: 157,
    nodes: null,
    only: [1, 2, 3, 8, 9, 12, 13],
    found:
      'a life whose clock was set back was taken for one that never said what the life before it had said',
  },
  {
    seed: 357,
    nodes: null,
    only: null,
    found:
      'an instance with a new key, that knocked while its former life was taken for alive, was asked about no more',
  },
  {
    seed: 73,
    nodes: null,
    only: null,
    found:
      'two instances had new keys, and each held the other dead by the old one, which stale looks had shown them last',
  },
  {
    seed: 10,
    nodes: 56,
    only: null,
    found:
      'beyond a full mesh whoever knew a restarted one by its record alone kept its old key, which others had seen replaced',
  },
  {
    seed: 23,
    nodes: 56,
    only: null,
    found: 'so did whoever was told of its old key by others that looked a moment before it had the new one',
  },
  {
    seed: 4,
    nodes: 56,
    only: null,
    found:
      'a connection whose other end was long gone kept the old key of an instance, which then ended unnoticed',
  },
  {
    seed: 28,
    nodes: 56,
    only: null,
    found:
      'who had found the API away before it was throttled, and knew nobody yet, waited for as long as after three throttled looks',
  },
  {
    seed: 102,
    nodes: 56,
    only: null,
    found:
      'in a partition soon after a start beyond a full mesh one looked, told all of all, and passed on their votes, which no bound allowed for',
  },
  {
    seed: 1982,
    nodes: null,
    only: null,
    found: 'the answer to a renewal is lost in the last moment of the run, and nobody holds the lease in it',
  },
  {
    seed: 1543,
    nodes: null,
    only: null,
    found:
      'the last two of six: both SYNs of one probe were lost, and whoever sent them held the other one dead',
  },
  {
    seed: 1774,
    nodes: null,
    only: null,
    found:
      'a seam inside a character behind few words: what came behind it began with the same ones, which went with the echo',
  },
  {
    seed: 1368,
    nodes: null,
    only: [12, 13, 14, 15, 16, 17, 35, 66, 67, 68],
    found: 'a node to whom EC2 had said nothing yet told a client that there is no such model',
  },
  {
    seed: 977,
    nodes: null,
    only: null,
    found:
      'whom a probe had found slow was gone when all others held it dead: the next probe of its own was minutes away, and their word made none',
  },
];
