/** No node goes on with this answer. What has arrived of it is right; what follows nobody knows. */
export class AnswerLost extends Error {
  override readonly name = 'AnswerLost';
  /** What the last node said: 410, the cluster has no journal of it any more; 404, not with this key; null: nothing. */
  readonly status: number | null;

  constructor(message: string, status: number | null, cause?: unknown) {
    super(message, { cause });
    this.status = status;
  }
}
