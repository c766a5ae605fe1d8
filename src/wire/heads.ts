/** What a call begins with and what its answer does, as JSON. Fields that are not known are passed over. */
import { isObject, parseObject } from '../std/json.ts';

type Headers = Readonly<Record<string, string>>;
export type OpenHead = { readonly method: string; readonly path: string; readonly headers: Headers };
type AnswerHead = { readonly status: number; readonly headers: Headers };

const methodMax = 16;
const pathMax = 4_096;

export const headBytes = (head: object): Buffer => Buffer.from(JSON.stringify(head));

/** null: it is none. */
export function readOpenHead(bytes: Buffer): OpenHead | null {
  const { method, path, headers = {} } = parseObject(bytes.toString('utf8')) ?? {};
  if (typeof method !== 'string' || method.length > methodMax) return null;
  if (typeof path !== 'string' || path.length > pathMax) return null;
  return areHeaders(headers) ? { method, path, headers } : null;
}

/** null: it is none. */
export function readAnswerHead(bytes: Buffer): AnswerHead | null {
  const { status, headers = {} } = parseObject(bytes.toString('utf8')) ?? {};
  if (typeof status !== 'number' || !Number.isInteger(status) || status < 200 || status > 599) return null;
  return areHeaders(headers) ? { status, headers } : null;
}

/** What a parser of HTTP/1.1 lets through, and a response lets out again. */
const fieldName = /^[\w!#$%&'*+.^`|~-]+$/;
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;

const areHeaders = (value: unknown): value is Headers =>
  isObject(value) &&
  Object.entries(value).every(
    ([name, field]) => fieldName.test(name) && typeof field === 'string' && fieldValue.test(field),
  );
