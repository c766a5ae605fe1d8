/**
 * What one event of a parsed chat says, as bytes in a log. Nearly every delta is one piece of text that one strand of
 * the answer grows by: content, reasoning, or the arguments of a call; such a one is its text and a few bits. Any other
 * (a call begins, two strands grow at once, a field that is not known here) is written as JSON.
 */
import type { ByteReader, ByteWriter } from '../std/bytes.ts';
import { isObject, parseObject, type Json } from '../std/json.ts';

/** What the bits say; a number is never used again for something else. */
const shapes = { empty: 0, content: 1, reasoning: 2, arguments: 3, json: 4 } as const;
/** One more than the largest that may ever be. */
export const shapesMax = 8;

type Form =
  | {
      readonly shape: typeof shapes.empty | typeof shapes.content | typeof shapes.reasoning;
      readonly text: string;
    }
  /** `call`: its index. */
  | { readonly shape: typeof shapes.arguments; readonly call: number; readonly text: string }
  | { readonly shape: typeof shapes.json; readonly text: string };

/** The role is told before everything else; what is null or an empty list was not said. */
export function deltaOf(choice: Json | null): Json {
  const delta = isObject(choice?.['delta']) ? choice['delta'] : {};
  const said = Object.entries(delta).filter(
    ([name, value]) => name !== 'role' && value !== undefined && !isNothing(value),
  );
  return Object.fromEntries(said);
}

const isNothing = (value: unknown): boolean => value === null || (Array.isArray(value) && value.length === 0);

export function formOf(delta: Json): Form {
  const [only, ...more] = Object.entries(delta);
  if (only === undefined) return { shape: shapes.empty, text: '' };
  const [name, value] = only;
  if (more.length === 0 && typeof value === 'string' && (name === 'content' || name === 'reasoning'))
    return { shape: shapes[name], text: value };
  const piece = more.length === 0 && name === 'tool_calls' ? argumentsIn(value) : null;
  return piece === null ? { shape: shapes.json, text: JSON.stringify(delta) } : piece;
}

/** null: it says more than how the arguments of one call go on. */
function argumentsIn(calls: unknown): Form | null {
  const [call, ...others] = Array.isArray(calls) ? (calls as readonly unknown[]) : [];
  if (!isObject(call) || others.length > 0 || !isOf(call, ['index', 'function'])) return null;
  const { index, function: given } = call;
  if (!Number.isSafeInteger(index) || Number(index) < 0 || !isObject(given)) return null;
  const text = given['arguments'];
  if (typeof text !== 'string' || !isOf(given, ['arguments'])) return null;
  return { shape: shapes.arguments, call: Number(index), text };
}

/** Says nothing but these. */
const isOf = (json: Json, names: readonly string[]): boolean =>
  Object.entries(json).every(([name, value]) => names.includes(name) || value === null);

/** The last thing in a record. */
export function writeForm(body: ByteWriter, form: Form): void {
  if (form.shape === shapes.arguments) body.varint(form.call);
  body.tail(form.text);
}

/** null: of a later version, or broken. */
export function readDelta(body: ByteReader, shape: number): Json | null {
  switch (shape) {
    case shapes.empty:
      return {};
    case shapes.content:
      return { content: body.tail() };
    case shapes.reasoning:
      return { reasoning: body.tail() };
    case shapes.arguments: {
      const index = body.varint();
      return { tool_calls: [{ index, function: { arguments: body.tail() } }] };
    }
    case shapes.json:
      return parseObject(body.tail());
    default:
      return null;
  }
}
