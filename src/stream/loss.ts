/** Why a leg ended before its answer did. One word each: it is a label of the metric that counts moves. */
export type LossCause =
  /** The serving member leaves, and said so. */
  | 'drain'
  /** Membership knows that the member is gone. */
  | 'dead'
  /** Membership doubts that the member is there, and nothing had come from it. */
  | 'suspect'
  /** The connection ended in order, the answer did not. */
  | 'eof'
  | 'reset'
  /** Nothing came for longer than this stream's rhythm allows. */
  | 'silence'
  /** An error event, or a finish reason that stands for one: `abort`, `error`. */
  | 'error'
  | 'abort'
  /** `[DONE]` and no finish reason before it: a vLLM that is stopping. */
  | 'bare-done'
  /** HTTP 500, 502, 503 or 504. */
  | 'status'
  /** The engine was dead before it said anything, as its node found. */
  | 'engine'
  /** Asked the same again, another engine said something else than what the client has. */
  | 'mismatch'
  /** Not what an engine says. */
  | 'nonsense'
  /** Too large for what is left of this node's room for answers in one piece. */
  | 'crowded'
  /** Ours, whatever the engine said: it is lost with all that is known of it. */
  | 'defect'
  /** Refused before anything began. */
  | 'unreached';
