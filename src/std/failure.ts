/**
 * What went wrong outside, in the few kinds a caller decides by. An adapter turns every error of a library or of
 * the system into one of these at its edge; nothing above it knows the library's names.
 *
 * missing: no such thing. denied: not allowed, trying again cannot help. busy: it said to come back later.
 * unreachable: no answer from the other side. late: our own deadline passed. invalid: what came back, or what a
 * person gave, does not make sense.
 */
export type FailureKind = 'missing' | 'denied' | 'busy' | 'unreachable' | 'late' | 'invalid';

export class Failure extends Error {
  override readonly name = 'Failure';
  readonly kind: FailureKind;

  /** `message` reads as a trail, lower case: `tag instance i-1: denied: UnauthorizedOperation`. */
  constructor(kind: FailureKind, message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
  }
}

/** Whether trying the same call again can help. `late` is not: its deadline has passed. */
export const retryable = (kind: FailureKind): boolean => kind === 'busy' || kind === 'unreachable';

/** What is caught may be anything. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
