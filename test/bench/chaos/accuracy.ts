/**
 * What was received against what had to be: the simulated model's next token follows from all ids before it, so each
 * token has one right value. Where they part, the next few ids tell whether something was said twice, left out or is
 * simply wrong.
 */

export type Accuracy = {
  /** Foreign ones, and those that are missing. */
  readonly wrong: number;
  readonly doubled: number;
  /** In words, where no token is wrong and the answer is. */
  readonly how?: string;
};

/** Ids that have to agree before we believe to be elsewhere in the text: each has ten candidates at least. */
const sureAfter = 4;

export function compare(received: readonly number[], expected: readonly number[]): Accuracy {
  let [wrong, doubled, at] = [0, 0, 0];
  for (let i = 0; i < received.length; i++) {
    if (received[i] !== expected[at]) {
      const where = placeOf(received.slice(i, i + sureAfter), expected, at);
      if (where === null) wrong++;
      else if (where < at) doubled += at - where;
      else wrong += where - at;
      at = where ?? at;
    }
    at++;
  }
  return { wrong: wrong + Math.max(0, expected.length - at), doubled };
}

/** Where in the text these ids stand, nearest to `at` first; null: nowhere. */
function placeOf(ids: readonly number[], expected: readonly number[], at: number): number | null {
  const stands = (from: number): boolean =>
    from >= 0 && from + ids.length <= expected.length && ids.every((id, i) => expected[from + i] === id);
  for (let off = 1; off <= expected.length; off++) {
    if (stands(at - off)) return at - off;
    if (stands(at + off)) return at + off;
  }
  return null;
}
