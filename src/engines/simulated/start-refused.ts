/** A start that comes to nothing: the text for stderr, and vLLM's exit code: 2 for a wrong command line, else 1. */
export class StartRefused extends Error {
  override readonly name = 'StartRefused';
  readonly exitCode: 1 | 2;

  constructor(exitCode: 1 | 2, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}
