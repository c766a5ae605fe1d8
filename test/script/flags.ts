/** Kinds of flags. */
import { InvalidArgumentError } from 'commander';

export type Flag<T> = {
  /** Stands for the value in the help; null: it has none. */
  readonly value: string | null;
  readonly says: string;
  /** Throws InvalidArgumentError with what is wanted instead. */
  readonly read: (text: string) => T;
  /** What it is without the flag. */
  readonly otherwise: T;
};

export const isSet = (says: string): Flag<boolean> => ({
  value: null,
  says,
  read: () => true,
  otherwise: false,
});
export const json: Flag<boolean> = isSet('one line of JSON on stdout, instead of text');

export const text = (value: string, says: string): Flag<string | null> => ({
  ...{ value, says, otherwise: null },
  read: (given) => given,
});

/** A whole number. */
export function whole<T extends number | null>(
  says: string,
  { least, otherwise }: { readonly least: number; readonly otherwise: T },
): Flag<number | T> {
  return { value: 'N', says, otherwise, read: (given) => wholeFrom(given, least) };
}

export function wholeFrom(given: string, least: number): number {
  const number = Number(given);
  if (/^\d+$/.test(given) && Number.isSafeInteger(number) && number >= least) return number;
  throw new InvalidArgumentError(`What is wanted is a whole number from ${least}.`);
}

export const minutes = (says: string, otherwise: number): Flag<number> => ({
  ...{ value: 'N', says, otherwise },
  read: (given) => {
    const number = Number(given);
    if (number > 0 && number < Infinity) return number;
    throw new InvalidArgumentError('What is wanted is a number above 0.');
  },
});

export const oneOf = <Name extends string>(
  says: string,
  { names, otherwise }: { readonly names: readonly Name[]; readonly otherwise: Name },
): Flag<Name> => ({
  ...{ value: 'NAME', says: `${says}: ${names.join(', ')}`, otherwise },
  read: (given) => nameFrom(given, names),
});

export function nameFrom<Name extends string>(given: string, names: readonly Name[]): Name {
  const found = names.find((name) => name === given);
  if (found !== undefined) return found;
  throw new InvalidArgumentError(`There is ${names.join(', ')}.`);
}

/** With commas between them; `none` for none. */
export const list = <T>(
  value: string,
  says: string,
  read: (text: string) => T,
): Flag<readonly T[] | null> => ({
  ...{ value, says, otherwise: null },
  read: (given) => (given === 'none' ? [] : given.split(',').map(read)),
});
