/** Finds a node that goes on with an answer whose stream broke off. */
import { AnswerLost } from './answer-lost.ts';
import type { Asked } from './asked.ts';
import { againAfterMs, attempt, codeOf, isGivenUp, pause, type Attempt, type Resuming } from './attempt.ts';
import type { Settings } from './settings.ts';

/** A node that says one of these may find, or be, somebody who knows better in a moment. */
const passing = new Set([429, 500, 502, 503, 504]);
/** It knows of no such answer; another one may. */
const unknown = new Set([404, 410]);

/** `next`: for each node that is asked. Rejects with AnswerLost, or with the caller's reason. */
export async function resumeAnswer(asked: Asked, next: () => Resuming, settings: Settings): Promise<Attempt> {
  const { entries, wholeMs, seekMs } = settings;
  const until = performance.now() + seekMs;
  const ignorant = new Map<string, number>();
  let error: unknown = null;
  for (;;) {
    let waitMs = againAfterMs(null);
    for (const entry of entries.inTurn()) {
      if (ignorant.has(entry)) continue;
      try {
        // It may have to make all again that has arrived, and says nothing before that is done; as long as it lives, it does.
        const made = await attempt(asked, { entry, from: next(), withinMs: wholeMs }, settings);
        const { status } = made.response;
        if (status === 200) return made;
        const code = await codeOf(made.response);
        // What an earlier attempt of ours has taken, a later one takes back.
        const isPassing = code === 'stream_taken' || (passing.has(status) && !isGivenUp(code));
        if (isPassing) waitMs = Math.max(waitMs, againAfterMs(made.response));
        else if (unknown.has(status)) ignorant.set(entry, status);
        else throw new AnswerLost(await reasonOf(made), status);
        made.close();
      } catch (failure) {
        asked.signal?.throwIfAborted();
        if (failure instanceof AnswerLost) throw failure;
        error = failure;
      }
    }
    const isLate = performance.now() + waitMs > until;
    if (isLate || ignorant.size === entries.urls.length) throw lost([...ignorant.values()], error);
    await pause(waitMs, asked.signal);
  }
}

function lost(statuses: readonly number[], error: unknown): AnswerLost {
  const status = statuses.find((one) => one === 410) ?? statuses[0] ?? null;
  const why = {
    410: 'the cluster has no journal of it any more',
    404: 'no node knows of it under this key',
  }[status ?? 0];
  return new AnswerLost(
    `the answer broke off: ${why ?? 'no node goes on with it'}`,
    status,
    error ?? undefined,
  );
}

async function reasonOf({ response, close }: Attempt): Promise<string> {
  const body = (await response.text()).slice(0, 500);
  close();
  return `the answer broke off, and was refused to go on: status ${response.status}: ${body}`;
}
