/**
 * How the API says no. vLLM has two manners: what the body's schema forbids is a "Bad Request" that lists problems
 * as pydantic does, what a later check forbids is a "BadRequestError" with one sentence.
 */
type ErrorBody = {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: number;
  };
};

export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  readonly body: ErrorBody;
  /** Thrown so far out that no middleware added its headers (`vary`). */
  readonly isBare: boolean;

  constructor(status: number, type: string, message: string, param: string | null, isBare = false) {
    super(message);
    this.status = status;
    this.isBare = isBare;
    this.body = { error: { message, type, param, code: status } };
  }
}

export const badRequest = (message: string, param: string | null = null): Refusal =>
  new Refusal(400, 'BadRequestError', message, param);

/** A value that is out of bounds; the sentence names the parameter and what came. */
export const badParameter = (name: string, message: string, value?: string | number): Refusal => {
  const shown = value === undefined ? '' : `, value=${value}`;
  return badRequest(`${message} (parameter=${name}${shown})`, name);
};

export const engineDead = (): Refusal => new Refusal(500, 'InternalServerError', engineDeadMessage, null);

/** What a draining server says to whatever needs its tokenizer. */
export const tokenizerGone = (): Refusal =>
  new Refusal(500, 'InternalServerError', 'cannot schedule new futures after shutdown', null, true);

const engineDeadMessage = 'EngineCore encountered an issue. See stack trace (above) for the root cause.';

/** One complaint of the schema; `loc` as in `body.prompt.0`. */
export type Problem = {
  readonly type: string;
  readonly loc: string;
  readonly msg: string;
  readonly input: string;
  /** Already written as Python would. */
  readonly ctx?: string;
};

export function invalidBody(problems: readonly Problem[]): Refusal {
  const lines = problems.map(({ type, loc, msg, input, ctx }) => {
    const context = ctx === undefined ? '' : `, 'ctx': ${ctx}`;
    return `  {'type': '${type}', 'loc': '${loc}', 'msg': ${quoted(msg)}, 'input': ${quoted(input)}${context}}`;
  });
  return invalidBodyText(lines, problems[0]?.loc ?? null);
}

export function invalidBodyText(lines: readonly string[], param: string | null): Refusal {
  const count = `${lines.length} validation error${lines.length === 1 ? '' : 's'}:`;
  return new Refusal(400, 'Bad Request', [count, ...lines].join('\n'), param);
}

/** Python's `repr` of a text. */
const quoted = (text: string): string =>
  text.includes("'") && !text.includes('"')
    ? `"${text}"`
    : `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n')}'`;
