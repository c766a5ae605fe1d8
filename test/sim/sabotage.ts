/** Ways to break what is simulated on purpose: a simulator that misses them would find nothing else either. */
export type Sabotage =
  /** A member that is only slow counts as one whose kernel refuses. */
  | 'slow-is-refused'
  /** Who was isolated remains so, and the truth says otherwise. */
  | 'unmended'
  /** Every node writes its leases to a bucket of its own. */
  | 'private-stores'
  /** S3 never answers. */
  | 'storeless'
  /** Machines are seeded from a real die. */
  | 'dice'
  /** Nobody hears gossip, and nodes do not compare what they know. */
  | 'mute'
  /** Every gate lets everybody in. */
  | 'open-door'
  /** All that is said to a peer is said to it ten times. */
  | 'chatty'
  /** Who starts once the cluster is whole never gets its tags, and is no member. */
  | 'shut-out'
  /** A process dies when the cluster has been at rest for long. */
  | 'relapse'
  /** An entry node hears an event of an engine twice, now and then. */
  | 'token-twice'
  /** No generation gets more than one engine. */
  | 'one-engine'
  /** An engine breaks its answers off, and nobody is told that it did. */
  | 'frail-engines'
  /** Requests go to whoever was ever heard of. */
  | 'blind-routing'
  /** Nothing is moved when a member drains. */
  | 'deaf-to-drains'
  /** A node that leaves relays nothing from the first moment. */
  | 'hasty'
  /** A node that is to leave is gone at once. */
  | 'wordless'
  /** A node never forgets that a client came. */
  | 'leaky'
  /** Who goes on with an answer tells its client all of it again. */
  | 'begins-again'
  /** Who goes on with an answer never says a word of it. */
  | 'tongue-tied'
  /** Nobody finds a log that is not his own. */
  | 'forgetful'
  /** Logs are kept at home. */
  | 'secretive'
  /** No stream's log ever ends. */
  | 'hoarder';
