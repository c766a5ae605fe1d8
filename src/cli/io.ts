/** What a command knows of the process that it runs in; `main.ts` gives the real one, tests give their own. */

/** Where text goes. The dimensions are those of a terminal, and absent elsewhere. */
type Screen = {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
};

export type Signal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

export type Io = {
  /** Data: what another program may read. */
  readonly out: Screen;
  /** Talk: what is meant for a person. */
  readonly err: Screen;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** While somebody listens, a signal does not end the process. Returns how to stop listening. */
  onSignal(listener: (signal: Signal) => void): () => void;
};

/**
 * Whether a table can live there: a terminal that can go back to what it shows, and says how large it is. One that a program
 * or a container made may have no size, and of what is fitted into none nothing is left.
 */
export const isLive = ({ out, env }: Io): boolean =>
  out.isTTY === true && out.columns !== 0 && out.rows !== 0 && env['TERM'] !== 'dumb';

/** 0 it is done; 1 it was refused or went wrong; 2 the command was misused. */
export const exit = { done: 0, refused: 1, misused: 2 } as const;

/** The person at the keyboard asked for something that cannot be meant; `message` is one line. */
export class Misuse extends Error {
  override readonly name = 'Misuse';
}

export const say = (io: Io, line: string): void => void io.err.write(`synkti: ${line}\n`);

export const print = (io: Io, text: string): void => void io.out.write(`${text}\n`);

/** One object on one line: `--json` of every command is a contract with other programs. */
export const printJson = (io: Io, value: unknown): void => print(io, JSON.stringify(value));
