/** The hole through which faults are injected into every API; who decides them is not this folder's business. */

export type Fault = {
  /** Waited before anything else happens to the call. */
  readonly delayMs: number;
  /**
   * `drop` closes the connection without an answer; a number is the HTTP status of an answer in the API's own
   * error shape; null lets the call through.
   */
  readonly fail: 'drop' | 400 | 401 | 403 | 404 | 409 | 429 | 500 | 502 | 503 | 504 | null;
};

export type Faults = {
  /** Asked once per call, after its signature was proven. `instanceId` is null for the operator. */
  before(service: string, operation: string, instanceId: string | null): Fault | null;
};
