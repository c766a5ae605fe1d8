/**
 * What a model that was taught to think and to call says first in its turn, with `--markup`: it thinks aloud, and where
 * it has tools it calls one, in the words of Qwen and Hermes. Like all that the model says it follows from the ids
 * before it: how far the turn has come is read off the prompt, so a continuation by ids goes on where it broke off.
 * Behind it the turn goes on as any other.
 */
import { contextOf } from './model.ts';
import { decode, encode } from './vocabulary.ts';

const opening = '<|im_start|>assistant\n';
const openingIds = encode(opening, opening.length);
const places = ['Zürich ☕', 'Oslo', '世界', 'Rome 🐈'] as const;

/** The ids that come next, whatever else the model would like; empty where the turn has no markup left. */
export function markupAfter(promptIds: readonly number[]): readonly number[] {
  const at = lastOpening(promptIds);
  if (at === null) return [];
  const before = promptIds.slice(0, at);
  const said = promptIds.slice(at + openingIds.length);
  const text = markupOf(decode(before, { skipSpecial: false }), contextOf(before).hash);
  const ids = encode(text, text.length * 4);
  return said.every((id, i) => ids[i] === id) ? ids.slice(said.length) : [];
}

function lastOpening(ids: readonly number[]): number | null {
  for (let at = ids.lastIndexOf(openingIds[0]!); at > 0; at = ids.lastIndexOf(openingIds[0]!, at - 1)) {
    if (openingIds.every((id, i) => ids[at + i] === id)) return at;
  }
  return null;
}

function markupOf(prompt: string, hash: number): string {
  const [place, days] = [places[hash % places.length]!, hash % 97];
  const thought = `<think>\nThe question is about ${place}, day ${days}.\n</think>\n\n`;
  const [, name] = /<tools>\n.*?"name":"([^"]+)"/s.exec(prompt) ?? [];
  if (name === undefined) return thought;
  const call = JSON.stringify({ name, arguments: { city: place, days } }, null, 1).replaceAll(/\n */g, ' ');
  return `${thought}I look it up.\n<tool_call>\n${call}\n</tool_call>\n`;
}

type Parsed = {
  readonly reasoning: string;
  readonly content: string;
  readonly calls: readonly { readonly name: string; readonly args: string }[];
};

const unsaid: Parsed = { reasoning: '', content: '', calls: [] };

/**
 * What parsers make of a text that may still grow: what could be the beginning of a tag, or of a name, is not told yet.
 * A text without thinking is content.
 */
export function parseMarkup(text: string): Parsed {
  if ('<think>'.startsWith(text)) return unsaid;
  if (!text.startsWith('<think>')) return parseCalls(text, '');
  const [thought = '', ...rest] = text.slice('<think>'.length).split('</think>');
  if (rest.length === 0) return { ...unsaid, reasoning: withoutTag(thought, '</think>') };
  return parseCalls(rest.join('</think>'), thought);
}

function parseCalls(text: string, reasoning: string): Parsed {
  const [first = '', ...blocks] = text.split('<tool_call>');
  const calls: Parsed['calls'][number][] = [];
  let content = blocks.length === 0 ? withoutTag(first, '<tool_call>') : first;
  for (const [i, block] of blocks.entries()) {
    const [call = '', ...behind] = block.split('</tool_call>');
    const [, name, args] = /"name": "([^"]*)",\s*"arguments": ([^]*)/.exec(call) ?? [];
    if (name !== undefined && args !== undefined) calls.push({ name, args: balanced(args) });
    const after = behind.join('</tool_call>');
    content += i === blocks.length - 1 ? withoutTag(after, '<tool_call>') : after;
  }
  return { reasoning, content, calls };
}

/** Without what may be the beginning of the tag at its end. */
function withoutTag(text: string, tag: string): string {
  for (let length = Math.min(tag.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(tag.slice(0, length))) return text.slice(0, -length);
  }
  return text;
}

/** The object that the text begins with, as far as it is there. Strings with braces are not among the model's words. */
function balanced(text: string): string {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '{') depth++;
    else if (text[i] === '}' && --depth === 0) return text.slice(0, i + 1);
  }
  return text;
}

/** What of a choice's delta or message two states of its text differ by; `id`: drawn for its calls. */
export function deltaBetween(before: Parsed, now: Parsed, id: string): Readonly<Record<string, unknown>> {
  const reasoning = now.reasoning.slice(before.reasoning.length);
  const content = now.content.slice(before.content.length);
  const calls = now.calls.flatMap(({ name, args }, index) => {
    const known = before.calls[index];
    if (known === undefined)
      return [
        { id: `chatcmpl-tool-${id}${index}`, type: 'function', index, function: { name, arguments: args } },
      ];
    return args === known.args ? [] : [{ index, function: { arguments: args.slice(known.args.length) } }];
  });
  return {
    ...(content === '' ? {} : { content }),
    ...(reasoning === '' ? {} : { reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}
