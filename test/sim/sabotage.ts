/** Ways to break what is simulated on purpose: a simulator that misses them would find nothing else either. */
export type Sabotage =
  /** A member that is only slow counts as one whose kernel refuses. */
  | 'slow-is-refused'
  /** Machines are seeded from a real die. */
  | 'dice'
  /** Nobody hears gossip, and nodes do not compare what they know. */
  | 'mute';
