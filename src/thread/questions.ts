/**
 * Questions between two threads. Who asks waits until its signal aborts and no longer, whatever becomes of the other
 * side; who answers hears when nobody waits any more. A Failure keeps its kind and its message on the way, but not its
 * cause; any other error arrives as a plain one.
 */
import { Failure, messageOf, type FailureKind } from '../std/failure.ts';

/** Questions by name: what each is given, and its answer. */
type Names = Readonly<Record<string, { readonly given: unknown; readonly answer: unknown }>>;

export type Question<Q> = {
  readonly [Name in keyof Q]: {
    readonly type: 'question';
    readonly number: number;
    readonly name: Name;
    readonly given: Q[Name] extends { readonly given: infer Given } ? Given : never;
  };
}[keyof Q];

export type Answer = { readonly type: 'answer'; readonly number: number; readonly outcome: Outcome };
export type GivenUp = { readonly type: 'given-up'; readonly number: number };

type Outcome =
  | { readonly type: 'value'; readonly value: unknown }
  | { readonly type: 'failure'; readonly kind: FailureKind; readonly message: string }
  | { readonly type: 'error'; readonly message: string };

/** Every TLS handshake asks one; a thread that leaves a thousand unanswered will not answer the next in time. */
const openMax = 1_024;

export class Questions<Q extends Names> {
  readonly #post: (message: Question<Q> | GivenUp) => void;
  readonly #open = new Map<number, PromiseWithResolvers<unknown>>();
  #number = 0;
  #end: Failure | null = null;

  constructor(post: (message: Question<Q> | GivenUp) => void) {
    this.#post = post;
  }

  /** Failure `late` when the signal comes first, `busy` when too many wait; else whatever the other side threw. */
  async ask<Name extends keyof Q & string>(
    name: Name,
    given: Q[Name]['given'],
    signal: AbortSignal,
  ): Promise<Q[Name]['answer']> {
    if (this.#end !== null) throw this.#end;
    if (this.#open.size >= openMax) throw new Failure('busy', `ask ${name}: busy: ${openMax} wait already`);
    const number = ++this.#number;
    const answered = Promise.withResolvers<unknown>();
    const giveUp = (): void => {
      this.#post({ type: 'given-up', number });
      answered.reject(lateFailure(name, signal));
    };
    if (signal.aborted) throw lateFailure(name, signal);
    signal.addEventListener('abort', giveUp, { once: true });
    this.#open.set(number, answered);
    try {
      this.#post({ type: 'question', number, name, given } as Question<Q>);
      return (await answered.promise) as Q[Name]['answer'];
    } finally {
      this.#open.delete(number);
      signal.removeEventListener('abort', giveUp);
    }
  }

  /** An answer to a question that was given up changes nothing. */
  onAnswer({ number, outcome }: Answer): void {
    const answered = this.#open.get(number);
    if (outcome.type === 'value') answered?.resolve(outcome.value);
    else if (outcome.type === 'failure') answered?.reject(new Failure(outcome.kind, outcome.message));
    else answered?.reject(new Error(outcome.message));
  }

  /** Nobody is there to answer any more, neither what waits nor what comes. */
  end(why: Failure): void {
    this.#end ??= why;
    for (const answered of this.#open.values()) answered.reject(why);
  }
}

function lateFailure(name: string, { reason }: AbortSignal): Failure {
  return reason instanceof Failure ? reason : new Failure('late', `ask ${name}: late: no answer`, reason);
}

type Answers<Q extends Names> = {
  readonly [Name in keyof Q]: (given: Q[Name]['given'], signal: AbortSignal) => Promise<Q[Name]['answer']>;
};

/** The other side of `Questions`. */
export class Answering<Q extends Names> {
  readonly #answers: Answers<Q>;
  readonly #post: (message: Answer) => void;
  readonly #open = new Map<number, AbortController>();

  constructor(answers: Answers<Q>, post: (message: Answer) => void) {
    this.#answers = answers;
    this.#post = post;
  }

  async onQuestion({ number, name, given }: Question<Q>): Promise<void> {
    const waiting = new AbortController();
    this.#open.set(number, waiting);
    const outcome = await outcomeOf(() => this.#answers[name](given, waiting.signal));
    this.#open.delete(number);
    if (!waiting.signal.aborted) this.#post({ type: 'answer', number, outcome });
  }

  onGivenUp({ number }: GivenUp): void {
    this.#open.get(number)?.abort();
  }
}

async function outcomeOf(work: () => Promise<unknown>): Promise<Outcome> {
  try {
    return { type: 'value', value: await work() };
  } catch (error) {
    const message = messageOf(error);
    return error instanceof Failure
      ? { type: 'failure', kind: error.kind, message }
      : { type: 'error', message };
  }
}
