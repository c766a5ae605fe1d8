/** What an answer costs the key that asked for it, told while it is made. */

/**
 * Told the tokens of the answer when it is over, where they are known: none of one that was refused. `known`: so many of
 * them were known to have been made before its client came with them. `goesOn`: so many there are by now.
 */
export type Spent = (
  tokens: number,
  more?: { readonly known?: number | undefined; readonly goesOn?: boolean | undefined },
) => void;

/** How far what is charged of an answer may be behind it. */
const stepTokens = 256;

/** What to call with the tokens so far, as often as there are more. */
export function inSteps(spent: Spent | undefined): (tokens: number) => void {
  let next = stepTokens;
  return (tokens) => {
    if (tokens < next) return;
    next = tokens + stepTokens;
    spent?.(tokens, { goesOn: true });
  };
}
