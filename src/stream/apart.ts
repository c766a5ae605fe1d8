/**
 * A request for several choices is asked for choice by choice where a single one would go on from its ids: then each
 * goes on by itself, from wherever its engine was lost. Choice i draws by the seed that was given, plus i, as it does
 * within one engine (vLLM, `ParentRequest`); what draws freely has no seed there either, or one of ours for each. All
 * others are asked of one engine together: what it remembers of a choice is told again by asking the same again.
 */
import { withFields } from '../std/json.ts';
import type { Named } from './answer.ts';
import type { Endpoint } from './chunk.ts';
import { absent, isInt } from './obstacles.ts';
import { readRequest, type AnswerRequest, type ApartRequest, type Engines, type Sent } from './request.ts';

/** Each is a request of its own to an engine: of more than this one engine has to know what they have in common. */
const choicesMax = 16;
/** Of all requests together, whose bodies are kept to the end, characters. */
const rawMax = 8 * 1_024 ** 2;
/** Below it vLLM takes the likeliest tokens, and refuses to give the same answer twice. */
const greedyBelow = 1e-5;
/** Seeds that every engine takes. */
const seedMax = 2 ** 31;

export function readAnswer(
  endpoint: Endpoint,
  sent: Sent,
  engines: Engines,
  named: Named | null,
): AnswerRequest {
  const apart = choicesApart(sent) > 1 ? readApart(endpoint, sent, engines, named) : null;
  return apart ?? readRequest(endpoint, sent, engines, named);
}

/** How many are asked for by themselves, where their way allows it. */
export function choicesApart({ body, raw }: Sent): number {
  const { n, seed, temperature, best_of: best } = body;
  if (!isInt(n) || n < 2 || n > choicesMax || n * raw.length > rawMax || !absent(best)) return 1;
  // Of seeds below zero one means none.
  if (!absent(seed) && !(isInt(seed) && seed >= 0)) return 1;
  return typeof temperature === 'number' && temperature < greedyBelow ? 1 : n;
}

function readApart(
  endpoint: Endpoint,
  sent: Sent,
  engines: Engines,
  named: Named | null,
): ApartRequest | null {
  const all = Array.from({ length: choicesApart(sent) }, (_, choice) => {
    const seed = (engines.seed + choice) % seedMax;
    return readRequest(endpoint, single(sent, choice), { ...engines, seed }, named);
  });
  const parts = all.filter((part) => part.way === 'ids' || part.way === 'derender');
  const [first] = parts;
  if (first === undefined || parts.length < all.length) return null;
  const { model, streamed, wants } = first;
  return { way: 'apart', endpoint, model, streamed, wantsUsage: wants.usage, parts };
}

function single({ body, raw }: Sent, choice: number): Sent {
  const { n: _, ...rest } = body;
  const seeded = isInt(body['seed']) ? { seed: body['seed'] + choice } : {};
  return { body: { ...rest, ...seeded }, raw: withFields(raw, { n: 1, ...seeded }) };
}
