/** Which model a body asks for, read from JSON or from the field of a form, or what to say where it names none. */
import { isObject, type Json, parseJson } from '../std/json.ts';
import { badRequest, type Reply } from './reply.ts';

/** No member may serve a model of a longer name, and a name is repeated in answers and in the log. */
const modelCharactersMax = 256;

/** Deeper than any schema of a tool. What walks or writes a body below this recurses, and a stack has an end. */
const depthMax = 128;

/**
 * Texts, lists and objects of one body. A batch has some thousands, and a list that only holds empty ones takes twenty
 * times its text as heap and more than a second to read.
 */
const partsMax = 200_000;
/** Each takes two at least, so most bodies need not be counted. */
const countedCharactersMin = 2 * partsMax;

/** What an empty object or list takes on V8's heap, and each place in one, bytes. */
const emptyBytes = 56;
const placeBytes = 8;

/** `heapBytes`: of all that is read from it, texts and numbers themselves left aside. */
type Named = { readonly model: string; readonly body: Json; readonly heapBytes: number };

export const isJson = (contentType: string): boolean =>
  /^application\/([\w.-]+\+)?json\s*(;|$)/i.test(contentType);

export const isForm = (contentType: string): boolean => /^multipart\/form-data\s*;/i.test(contentType);

export const notJson: Reply = badRequest("Unsupported media type: only 'application/json' is accepted.");
export const notUtf8: Reply = badRequest('The request body is not UTF-8.', null, 'invalid_json');
export const notForm: Reply = badRequest("Unsupported media type: only 'multipart/form-data' is accepted.");

export function namedInJson(raw: string): Named | Reply {
  if (raw.length > countedCharactersMin && hasTooManyParts(raw))
    return badRequest('The request body has too many parts.', null, 'invalid_json');
  const body = parseJson(raw);
  if (body === undefined) return badRequest('The request body is not valid JSON.', null, 'invalid_json');
  if (!isObject(body)) return badRequest('The request body is not a JSON object.', null, 'invalid_json');
  const heapBytes = heapBytesOf(body);
  if (heapBytes === Infinity)
    return badRequest('The request body is nested too deeply.', null, 'invalid_json');
  const reserved = reservedIn(body) ?? (isObject(body['vllm_xargs']) ? reservedIn(body['vllm_xargs']) : null);
  if (reserved === null) return named(body, heapBytes);
  const message = `The parameter \`${reserved}\` is not a client's: engines connect to one another by it.`;
  return badRequest(message, reserved, 'unsupported_parameter');
}

/**
 * By these vLLM's connectors fetch what another engine has computed, from the host and port that they name: whoever may
 * send them decides where engines connect to. `vllm_xargs` end where these do.
 */
const reservedFields = ['kv_transfer_params', 'ec_transfer_params'] as const;

const reservedIn = (fields: Json): string | null =>
  reservedFields.find((field) => fields[field] !== undefined && fields[field] !== null) ?? null;

const [quote, backslash, brace, bracket] = [...'"\\{['].map((one) => one.charCodeAt(0));

/** Passes over texts as fast as memory is read: most of a large body is a picture or a document. */
function hasTooManyParts(raw: string): boolean {
  let parts = 0;
  for (let at = 0; at < raw.length && parts <= partsMax; at++) {
    const character = raw.charCodeAt(at);
    if (character !== quote && character !== brace && character !== bracket) continue;
    parts += 1;
    if (character === quote) at = endOfText(raw, at + 1);
  }
  return parts > partsMax;
}

/** Where the quote is that ends it. */
function endOfText(raw: string, from: number): number {
  let at = raw.indexOf('"', from);
  while (at !== -1) {
    let before = at;
    while (before > from && raw.charCodeAt(before - 1) === backslash) before -= 1;
    if ((at - before) % 2 === 0) return at;
    at = raw.indexOf('"', at + 1);
  }
  return raw.length;
}

/** Infinity: it is nested too deeply. Prompts come as hundreds of thousands of numbers too: what is no object costs no call. */
function heapBytesOf(value: object, depth = 1): number {
  if (depth > depthMax) return Infinity;
  const parts: readonly unknown[] = Array.isArray(value) ? value : Object.values(value);
  let bytes = emptyBytes + placeBytes * parts.length;
  for (const part of parts)
    if (typeof part === 'object' && part !== null) bytes += heapBytesOf(part, depth + 1);
  return bytes;
}

/** Reads that one field and leaves the file alone. RFC 7578: each part has a Content-Disposition with its name. */
export function namedInForm(bytes: Buffer, contentType: string): Named | Reply {
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;]{1,70}))/i.exec(contentType) ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) return badRequest('The form has no boundary.', null, 'invalid_form');
  for (const { name, value } of partsOf(bytes, `--${boundary}`))
    if (name === 'model') return named({ model: value() }, 0);
  return named({}, 0);
}

type Part = { readonly name: string; readonly value: () => string };

/** A form of ours has some ten. */
const fieldsMax = 64;
/** The header of a part, bytes. */
const headBytesMax = 4_096;

function* partsOf(bytes: Buffer, delimiter: string): Generator<Part> {
  let at = bytes.indexOf(delimiter);
  for (let fields = 0; at !== -1 && fields < fieldsMax; fields++) {
    const begin = at + delimiter.length;
    const next = bytes.indexOf(`\r\n${delimiter}`, begin);
    const headEnd = bytes.indexOf('\r\n\r\n', begin);
    if (next === -1 || headEnd === -1 || headEnd > next || headEnd - begin > headBytesMax) return;
    const head = bytes.toString('utf8', begin, headEnd);
    const name = /^content-disposition:[^\r\n]*;\s*name="([^"\r\n]*)"/im.exec(head)?.[1];
    if (name !== undefined) yield { name, value: () => bytes.toString('utf8', headEnd + 4, next) };
    at = next + 2;
  }
}

function named(body: Json, heapBytes: number): Named | Reply {
  const { model } = body;
  if (model === undefined || model === null)
    return badRequest('The parameter `model` is missing.', 'model', 'missing_required_parameter');
  if (typeof model !== 'string' || model === '')
    return badRequest('The parameter `model` must be a name.', 'model', 'invalid_type');
  if (/\p{Cc}/u.test(model))
    return badRequest('The parameter `model` has control characters.', 'model', 'invalid_value');
  if (model.length > modelCharactersMax) {
    const message = `The parameter \`model\` is longer than ${modelCharactersMax} characters.`;
    return badRequest(message, 'model', 'string_above_max_length');
  }
  return { model, body, heapBytes };
}
