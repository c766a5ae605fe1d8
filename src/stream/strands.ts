/**
 * What one choice of an answer says, as strands that only ever grow: its text, its reasoning, the arguments of each
 * call, its token ids, their likelihoods. Two engines that compute the same say the same strands, however many tokens
 * each of their chunks carries; so an answer is compared, and cut where the client's part of it ends, by strands.
 */
import { isObject, type Json } from '../std/json.ts';

/** `value`: what one chunk adds. Items of a list are never cut. */
export type Strand = {
  readonly name: string;
  readonly value: string | readonly unknown[];
  /** Likelihoods are numbers of floating point, and ids of calls are drawn anew: they are counted, not compared. */
  readonly compared: boolean;
};

/** Of one element of a chunk's `choices`. Nothing that is empty. */
export function strandsOf(choice: Json): readonly Strand[] {
  const strands: Strand[] = [];
  const add = (name: string, value: unknown, compared = true): void => {
    if (typeof value === 'string' ? value !== '' : Array.isArray(value) && value.length > 0)
      strands.push({ name, value: value as Strand['value'], compared });
  };
  add('text', choice['text']);
  add('token_ids', choice['token_ids']);
  eachList(choice['logprobs'], (name, list) => add(`logprobs.${name}`, list, false));
  const { delta } = choice;
  if (!isObject(delta)) return strands;
  for (const [name, value] of Object.entries(delta)) {
    if (name === 'tool_calls') for (const call of callsIn(value)) addCall(call, add);
    else if (name !== 'role') add(`delta.${name}`, value);
  }
  return strands;
}

function addCall(call: Json, add: (name: string, value: unknown, compared?: boolean) => void): void {
  const at = `call.${String(call['index'] ?? 0)}`;
  const given = isObject(call['function']) ? call['function'] : {};
  // The id is drawn by the engine that began the call; it is told once, and by whoever began it.
  if (typeof call['id'] === 'string') add(`${at}.id`, [call['id']], false);
  add(`${at}.name`, given['name']);
  add(`${at}.arguments`, given['arguments']);
}

/** The choice without the first so many characters or items of each strand, and without what comes only once. */
export function cutChoice(
  choice: Json,
  { begun, heardOf }: { readonly begun: boolean; readonly heardOf: (name: string) => number },
): Json {
  const cut = (name: string, value: unknown): unknown =>
    typeof value === 'string' || Array.isArray(value) ? value.slice(heardOf(name)) : value;
  const rest: Record<string, unknown> = { ...choice };
  if ('text' in rest) rest['text'] = cut('text', rest['text']);
  if ('token_ids' in rest) rest['token_ids'] = cut('token_ids', rest['token_ids']);
  if (isObject(rest['logprobs'])) {
    const { logprobs } = rest;
    rest['logprobs'] = Object.fromEntries(
      Object.entries(logprobs).map(([name, list]) => [name, cut(`logprobs.${name}`, list)]),
    );
  }
  if (begun && 'prompt_token_ids' in rest) rest['prompt_token_ids'] = null;
  if (isObject(rest['delta'])) rest['delta'] = cutDelta(rest['delta'], { begun, cut });
  return rest;
}

type Cut = (name: string, value: unknown) => unknown;

function cutDelta(delta: Json, { begun, cut }: { readonly begun: boolean; readonly cut: Cut }): Json {
  const rest: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(delta)) {
    if (name === 'role') {
      if (!begun) rest[name] = value;
      continue;
    }
    rest[name] =
      name === 'tool_calls'
        ? callsIn(value).flatMap((call) => cutCall(call, cut))
        : cut(`delta.${name}`, value);
  }
  return rest;
}

/** Empty when nothing of the call is left. */
function cutCall(call: Json, cut: Cut): readonly Json[] {
  const at = `call.${String(call['index'] ?? 0)}`;
  const given = isObject(call['function']) ? call['function'] : {};
  const left = Object.entries(given).map(([name, value]) => [name, cut(`${at}.${name}`, value)] as const);
  const named = typeof call['id'] === 'string' && (cut(`${at}.id`, [call['id']]) as unknown[]).length > 0;
  const said = left.filter(([, value]) => value !== '' && value !== null);
  if (!named && said.length === 0) return [];
  const { id, type, ...rest } = call;
  return [{ ...(named ? { id, type } : {}), ...rest, function: Object.fromEntries(named ? left : said) }];
}

const callsIn = (value: unknown): readonly Json[] => (Array.isArray(value) ? value.filter(isObject) : []);

function eachList(value: unknown, see: (name: string, list: unknown) => void): void {
  if (isObject(value)) for (const [name, list] of Object.entries(value)) see(name, list);
}
