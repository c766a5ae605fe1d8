/**
 * Stop strings, matched over everything that a generation has said, whichever engine said it. An engine matches only
 * within its own request, so a string that spans a seam would be missed, and what an engine holds back dies with it.
 * Engines are therefore asked to hold nothing back (`include_stop_str_in_output`), and holding back and cutting off
 * happen here, as vLLM does them (v1/engine/detokenizer.py): the last `length - 1` characters stay back all the time.
 */
type Match = { readonly stop: string; readonly start: number; readonly end: number };

/** Characters that may belong to a stop string not yet complete. */
export const heldBackMax = (stops: readonly string[]): number =>
  stops.reduce((most, stop) => Math.max(most, stop.length - 1), 0);

/**
 * Looks for a match that ends in `added`; `before` is the text just before it, at least `heldBackMax` of it. Positions
 * count from the start of `before + added`. One token at a time, vLLM takes the first in the order of the list; when
 * several tokens came at once, the match that was complete first is the one that it would have seen.
 */
export function findStop(
  stops: readonly string[],
  text: { readonly before: string; readonly added: string; readonly singleToken: boolean },
): Match | null {
  const whole = text.before + text.added;
  const found: Match[] = [];
  for (const stop of stops) {
    const start = whole.indexOf(stop, Math.max(0, text.before.length - stop.length + 1));
    if (start !== -1) found.push({ stop, start, end: start + stop.length });
  }
  if (text.singleToken) return found[0] ?? null;
  return found.reduce<Match | null>(
    (first, match) => (first && first.end <= match.end ? first : match),
    null,
  );
}

/** Where to cut `text` so that at least `hold` characters stay back and no surrogate pair is torn apart. */
export function cutPoint(text: string, hold: number): number {
  if (hold === 0) return text.length;
  const cut = Math.max(0, text.length - hold);
  const last = text.charCodeAt(cut - 1);
  return last >= 0xd800 && last <= 0xdbff ? cut - 1 : cut;
}
