/** How a node asks another about logs of streams: one small request, answered at once, over their mutual TLS. */
import type { Dispatcher } from 'undici';
import type { AskMember } from '../node/finding.ts';
import type { MemberId } from '../std/member-id.ts';

export const journalPath = '/journal';

/** `dispatcherTo`: connections to a member; null: there is no way to it just now. */
export const askBy =
  (dispatcherTo: (member: MemberId) => Dispatcher | null): AskMember =>
  (member, message, withinMs, tell) =>
    void ask(dispatcherTo(member), message, withinMs).then(tell);

/** null: no answer in time, or another answer than we understand. */
async function ask(
  dispatcher: Dispatcher | null,
  message: Uint8Array,
  withinMs: number,
): Promise<Uint8Array | null> {
  if (dispatcher === null) return null;
  try {
    const { statusCode, body } = await dispatcher.request({
      ...{ method: 'POST', path: journalPath, body: message },
      headers: { 'content-type': 'application/octet-stream' },
      signal: AbortSignal.timeout(withinMs),
    });
    const answer = await body.bytes();
    return statusCode === 200 ? answer : null;
  } catch {
    return null; // A member that does not answer has lost its copies as far as we are concerned; the caller says so.
  }
}
