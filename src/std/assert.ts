/** Throws when a promise of our own is broken. Never for input: a peer or a user cannot make this fire. */
export function assert(condition: boolean, broken: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${broken}`);
}

/** Makes a `switch` over a union exhaustive: adding a case without handling it stops compiling. */
export function unreachable(never: never): never {
  throw new Error(`unreachable: ${JSON.stringify(never)}`);
}
