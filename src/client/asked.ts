/** A request as it can be sent again and again, to one node after the other. */

export type Asked = {
  readonly url: string;
  /** All that a caller may give besides, as it was given. */
  readonly init: RequestInit;
  readonly headers: Headers;
  readonly signal: AbortSignal | null;
  readonly wantsStream: boolean;
  readonly isRepeatable: boolean;
};

export async function readAsked(input: RequestInfo | URL, init: RequestInit | undefined): Promise<Asked> {
  const given = input instanceof Request ? await initOf(new Request(input, init)) : { ...init };
  const url = input instanceof Request ? input.url : String(input);
  const headers = new Headers(given.headers);
  const wantsStream = isStreamed(given.body);
  headers.set('x-synkti-client', '1');
  const isPost = given.method?.toUpperCase() === 'POST';
  if (isPost && !wantsStream && !headers.has('idempotency-key')) headers.set('idempotency-key', newKey());
  const isRepeatable = !(given.body instanceof ReadableStream);
  return { url, init: given, headers, signal: given.signal ?? null, wantsStream, isRepeatable };
}

async function initOf(request: Request): Promise<RequestInit> {
  const { method, headers, signal, credentials, redirect, cache } = request;
  const hasBody = method !== 'GET' && method !== 'HEAD';
  const body = hasBody ? { body: await request.text() } : {};
  return { method, headers, signal, credentials, redirect, cache, ...body };
}

function isStreamed(body: RequestInit['body']): boolean {
  if (typeof body !== 'string') return false;
  try {
    const json: unknown = JSON.parse(body);
    return (json as { readonly stream?: unknown } | null)?.stream === true;
  } catch {
    return false; // No JSON: the node will say so.
  }
}

/** A page that came over plain HTTP has no `randomUUID`. */
const newKey = (): string =>
  crypto.randomUUID?.() ??
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

/** The same request at this node: what follows the base URL in it follows the node's. */
export function targetOf({ url }: Pick<Asked, 'url'>, entry: string, urls: readonly string[]): string {
  const base = urls.map((one) => one.replace(/\/+$/, '')).find((one) => url.startsWith(`${one}/`));
  if (base !== undefined) return entry + url.slice(base.length);
  const { pathname, search } = new URL(url);
  return new URL(entry).origin + pathname + search;
}
