/** Speaks to the control API of a running local cloud, typed as the cloud itself is. */
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { Failure, type FailureKind } from '../std/failure.ts';
import type { Answer, Operate } from './control-operations.ts';

const kinds: Readonly<Record<number, FailureKind>> = {
  400: 'invalid',
  404: 'missing',
  409: 'denied',
  413: 'invalid',
  503: 'busy',
  504: 'late',
};

/**
 * Beside the Failures of the operations: `unreachable` when no cloud listens on the socket, `late` when the signal's
 * time was up.
 */
export const connectControl =
  (socket: string): Operate =>
  async (name, body, signal) => {
    const { status, answer } = await exchange({ socket, name, body: JSON.stringify(body) }, signal);
    if (status === 200) return answer as Answer<typeof name>;
    throw new Failure(kinds[status] ?? 'unreachable', messageOf(answer) ?? `local cloud: status ${status}`);
  };

async function exchange(
  call: { readonly socket: string; readonly name: string; readonly body: string },
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly answer: unknown }> {
  try {
    return await new Promise((resolve, reject) => {
      const req = request(
        {
          socketPath: call.socket,
          method: 'POST',
          path: `/${call.name}`,
          headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(call.body) },
          agent: false,
          signal,
        },
        (res) => {
          text(res)
            .then((received) => ({ status: res.statusCode ?? 0, answer: JSON.parse(received) as unknown }))
            .then(resolve, reject);
        },
      );
      req.on('error', reject);
      req.end(call.body);
    });
  } catch (error) {
    const kind = signal.aborted ? 'late' : 'unreachable';
    throw new Failure(kind, `local cloud at ${call.socket}: no answer`, error);
  }
}

function messageOf(answer: unknown): string | null {
  const error = (answer as { readonly error?: { readonly message?: unknown } } | null)?.error;
  return typeof error?.message === 'string' ? error.message : null;
}
