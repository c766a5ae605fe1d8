/**
 * What an engine can do for going on with an answer that another engine began. Its node finds out when the engine gets
 * ready and tells the others; an entry node chooses by it how an answer is protected, and what it may promise.
 */
export type Ability = {
  /** Render, generate and derender: calls and reasoning go on from token ids. */
  readonly scaleOut: boolean;
  /** With a seed, what is drawn depends on the position only: a continuation draws on where the answer broke off. */
  readonly keyedByPosition: boolean;
  /** Computing again gives the same tokens, whatever else runs: float32, or invariant to the batch. */
  readonly repeatable: boolean;
  /** A request that leaves penalties out gets none: neither the model's own defaults nor the operator's have any. */
  readonly neutralPenalties: boolean;
  /** A chat's text has special tokens in it, which its parsers need to see. */
  readonly showsSpecials: boolean;
};

export const noAbility: Ability = {
  scaleOut: false,
  keyedByPosition: false,
  repeatable: false,
  neutralPenalties: false,
  showsSpecials: false,
};

/** What every one of them can do: an answer may be continued at any. Of nobody nothing is expected. */
export const commonAbility = (abilities: readonly Ability[]): Ability => ({
  scaleOut: abilities.length > 0 && abilities.every(({ scaleOut }) => scaleOut),
  keyedByPosition: abilities.length > 0 && abilities.every(({ keyedByPosition }) => keyedByPosition),
  repeatable: abilities.length > 0 && abilities.every(({ repeatable }) => repeatable),
  neutralPenalties: abilities.length > 0 && abilities.every(({ neutralPenalties }) => neutralPenalties),
  showsSpecials: abilities.length > 0 && abilities.every(({ showsSpecials }) => showsSpecials),
});
