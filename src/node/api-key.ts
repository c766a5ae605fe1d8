/** What is known of one key that opens the API. The key itself is its owner's alone. */
export type ApiKey = {
  /** Of its owner, for people and for accounts; no secret. */
  readonly name: string;
  /** 64 lower-case hexadecimal digits. */
  readonly sha256: string;
  readonly limits: KeyLimits;
};

/** Over the whole cluster; null: as much as there is. */
type KeyLimits = {
  readonly requestsPerMinute: number | null;
  /** Prompt and answer together. */
  readonly tokensPerMinute: number | null;
};
