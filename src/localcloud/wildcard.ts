/**
 * Whether `text` fits a pattern in which `*` stands for anything, `?` for one character and a backslash takes the
 * meaning from what follows: the patterns of EC2's filters. Linear in the product of the lengths, whatever the pattern.
 */
export function fits(pattern: string, text: string): boolean {
  const signs = parse(pattern);
  let reach = new Set([0]);
  for (const sign of signs) {
    const next = new Set<number>();
    if (sign === any) for (let to = Math.min(...reach); to <= text.length; to += 1) next.add(to);
    else for (const at of reach) if (at < text.length && stands(sign, text[at]!)) next.add(at + 1);
    if (next.size === 0) return false;
    reach = next;
  }
  return reach.has(text.length);
}

const any = Symbol('any');
const one = Symbol('one');
type Sign = typeof any | typeof one | { readonly literal: string };

const stands = (sign: Exclude<Sign, typeof any>, char: string): boolean =>
  sign === one || sign.literal === char;

function parse(pattern: string): readonly Sign[] {
  const signs: Sign[] = [];
  for (let at = 0; at < pattern.length; at += 1) {
    const char = pattern[at]!;
    if (char === '\\' && at + 1 < pattern.length) signs.push({ literal: pattern[(at += 1)]! });
    else if (char === '*') signs.push(any);
    else if (char === '?') signs.push(one);
    else signs.push({ literal: char });
  }
  return signs;
}
