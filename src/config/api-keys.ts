/**
 * The list of API keys, as people write it:
 *
 *   - name: alice
 *     sha256: 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8
 *     limits: { requestsPerMinute: 600, tokensPerMinute: 200000 }
 *
 * `limits` and each of the two may be missing: no limit. Whatever else stands there is refused, because a misspelt
 * limit must not look set. An empty list lets nobody in, and is written `[]`: a text with nothing in it is refused,
 * because so looks a file that is just being written.
 */
import { parse } from 'yaml';
import { z } from 'zod';
import type { ApiKey } from '../node/api-key.ts';
import { Failure } from '../std/failure.ts';

const keysMax = 10_000;
/** Told of one list: in another kind of file every entry is wrong. */
const problemsMax = 10;
const limit = z.int().min(1).max(1_000_000_000).nullable().default(null);

const list = z
  .array(
    z.strictObject({
      name: z.string().regex(/^[\w.@-]{1,64}$/, 'expected letters, digits, ".", "_", "@" and "-", up to 64'),
      sha256: z
        .string()
        .regex(/^[0-9a-fA-F]{64}$/, 'expected 64 hexadecimal digits')
        .transform((digits) => digits.toLowerCase()),
      limits: z
        .strictObject({ requestsPerMinute: limit, tokensPerMinute: limit })
        .default({ requestsPerMinute: null, tokensPerMinute: null }),
    }),
  )
  .max(keysMax)
  .refine((keys) => isSet(keys.map(({ name }) => name)), 'two keys have the same name')
  .refine((keys) => isSet(keys.map(({ sha256 }) => sha256)), 'two keys have the same sha256');

/** Failure `invalid`, which tells the first problems, and no digest. `place`: where the text is from. */
export function apiKeysFrom(text: string, place: string): readonly ApiKey[] {
  let content: unknown;
  try {
    content = parse(text);
  } catch (error) {
    // The message of the parser quotes the line, which may be a digest, and below the first line it is a picture.
    const [first = ''] = String((error as Error).message).split(':\n');
    throw new Failure('invalid', `API keys of ${place}: invalid: not YAML: ${uncapped(first)}`, error);
  }
  if (content === null || content === undefined)
    throw new Failure(
      'invalid',
      `API keys of ${place}: invalid: nothing in it; a list of none is written []`,
    );
  const read = list.safeParse(content);
  if (read.success) return read.data;
  const problems = read.error.issues.map(
    ({ path, message }) => `${path.join('.') || 'list'}: ${uncapped(message)}`,
  );
  const more = problems.length > problemsMax ? `; and ${problems.length - problemsMax} more` : '';
  const shown = problems.slice(0, problemsMax).join('; ');
  throw new Failure('invalid', `API keys of ${place}: invalid: ${shown}${more}`);
}

/** In the middle of a line; what it quotes stays as it was written. */
const uncapped = (message: string): string => message.slice(0, 1).toLowerCase() + message.slice(1);

const isSet = (values: readonly string[]): boolean => new Set(values).size === values.length;
