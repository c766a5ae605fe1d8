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

/** Whose answers a cluster keeps under a key: chats and completions. The other endpoints know of none. */
const keptPaths = /\/completions$/;

/** Rejects with a TypeError where `input` is no URL, or `init` asks for what no `fetch` does: no node is to blame. */
export async function readAsked(input: RequestInfo | URL, init: RequestInit | undefined): Promise<Asked> {
  const url = absolute(input instanceof Request ? input.url : String(input));
  const given = input instanceof Request ? await initOf(new Request(input, init)) : { ...init };
  const headers = new Headers(given.headers);
  const wantsStream = isStreamed(given.body);
  headers.set('x-synkti-client', '1');
  const isKept = given.method?.toUpperCase() === 'POST' && keptPaths.test(new URL(url).pathname);
  if (isKept && !wantsStream && !headers.has('idempotency-key')) headers.set('idempotency-key', newKey());
  const isRepeatable = canRepeat(given.body);
  // What is in a body says nothing against it, and nothing of ours is to stay on the signal.
  if (isRepeatable) new Request(url, { ...given, signal: null, body: given.body == null ? null : '' });
  return { url, init: given, headers, signal: given.signal ?? null, wantsStream, isRepeatable };
}

/** Of a page a path is enough, as for `fetch`. No node is to blame for what is no URL, so none is asked. */
export function absolute(url: string): string {
  const { location } = globalThis as { readonly location?: { readonly href: string } };
  try {
    return new URL(url, location?.href).href;
  } catch (error) {
    throw new TypeError(`durableFetch: ${url} is not a URL`, { cause: error });
  }
}

async function initOf(request: Request): Promise<RequestInit> {
  const { method, headers, signal, credentials, redirect, cache } = request;
  const hasBody = method !== 'GET' && method !== 'HEAD';
  const body = hasBody ? { body: await request.arrayBuffer() } : {};
  return { method, headers, signal, credentials, redirect, cache, ...body };
}

/** All else is read while it is sent: streams, and what Node.js takes besides, like generators. */
const canRepeat = (body: RequestInit['body']): boolean =>
  body === undefined ||
  body === null ||
  typeof body === 'string' ||
  isBytes(body) ||
  [Blob, FormData, URLSearchParams].some((kind) => body instanceof kind);

const isBytes = (body: unknown): body is BufferSource =>
  body instanceof ArrayBuffer || ArrayBuffer.isView(body);

function isStreamed(body: RequestInit['body']): boolean {
  const text = typeof body === 'string' ? body : isBytes(body) ? jsonIn(body) : null;
  if (text === null) return false;
  try {
    const json: unknown = JSON.parse(text);
    return (json as { readonly stream?: unknown } | null)?.stream === true;
  } catch {
    return false; // No JSON: the node will say so.
  }
}

const openingBrace = 0x7b;

/** A recording of some megabytes is not made a text only to see that it is none. */
function jsonIn(body: BufferSource): string | null {
  const bytes =
    body instanceof ArrayBuffer
      ? new Uint8Array(body)
      : new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  return bytes[0] === openingBrace ? new TextDecoder().decode(bytes) : null;
}

/** A page that came over plain HTTP has no `randomUUID`. */
const newKey = (): string =>
  crypto.randomUUID?.() ??
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

/** The same request at this node: what follows the base URL in it follows the node's. */
export function targetOf({ url }: Pick<Asked, 'url'>, entry: string, urls: readonly string[]): string {
  const base = urls.find((one) => url.startsWith(`${one}/`));
  if (base !== undefined) return entry + url.slice(base.length);
  const { pathname, search } = new URL(url);
  return new URL(entry).origin + pathname + search;
}
