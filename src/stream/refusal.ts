/** What a client is told when there is no answer, or no rest of one. */
import type { Lack } from '../std/room.ts';
import { complaintJson, done, type Complaint } from './answer.ts';
import type { Effect } from './events.ts';
import type { LossCause } from './loss.ts';

export type Refusal = {
  readonly status: 404 | 409 | 410 | 429 | 502 | 503;
  readonly complaint: Complaint;
  /** When to come back; null: coming back does not help. */
  readonly retryAfterMs: number | null;
  /** Whoever comes back is to know what for: a program that repeats it unasked does harm. */
  readonly isHarmful?: true;
};

/** Why no member takes a request now. */
export type Unplaced = 'unknown-model' | 'starting' | 'full' | 'unavailable';

const serverError = (message: string, code: string): Complaint => ({
  message,
  type: 'server_error',
  param: null,
  code,
});

export function notPlaced(model: string, why: Unplaced): Refusal {
  switch (why) {
    case 'unknown-model': {
      const message = `The model \`${model}\` does not exist.`;
      const complaint: Complaint = {
        message,
        type: 'invalid_request_error',
        param: 'model',
        code: 'model_not_found',
      };
      return { status: 404, complaint, retryAfterMs: null };
    }
    case 'starting': {
      const complaint = serverError(`The model \`${model}\` is starting.`, 'model_starting');
      return { status: 503, complaint, retryAfterMs: 5_000 };
    }
    case 'full': {
      const message = `Every member that serves \`${model}\` has as many requests as it takes.`;
      const complaint: Complaint = { message, type: 'rate_limit_error', param: null, code: 'overloaded' };
      return { status: 429, complaint, retryAfterMs: 1_000 };
    }
    case 'unavailable': {
      const complaint = serverError(`No member can serve \`${model}\` just now.`, 'model_unavailable');
      return { status: 503, complaint, retryAfterMs: 2_000 };
    }
  }
}

export const brokenOff = (cause: LossCause): Refusal => ({
  status: 502,
  complaint: serverError(
    `The engine's answer broke off (${cause}) and could not be continued.`,
    'answer_lost',
  ),
  retryAfterMs: null,
});

/** Of three lost in a row a request is the likelier reason, and repeated unasked it would end as many again. */
export const enginesDied: Refusal = {
  status: 503,
  complaint: serverError(
    'Three engines in a row were lost with this request, and the last one died. Ask again if it cannot be the reason.',
    'engines_died',
  ),
  retryAfterMs: 2_000,
  isHarmful: true,
};

/** This node keeps as much as it can of answers in one piece, or as much of those of one key. */
export const crowded: Refusal = {
  status: 503,
  complaint: serverError(
    'Too many large answers at once: ask again when some are out, or ask another node.',
    'overloaded',
  ),
  retryAfterMs: 1_000,
};

/** Of what a node has no room for more. */
type Crowd = 'requests under way' | 'running answers' | 'large requests';

/** What is full, for whom, and what helps. */
export function noRoom(crowd: Crowd, lack: Lack): Refusal {
  if (lack === 'full') {
    const message = `This node has as many ${crowd} as it takes: ask again in a moment, or ask another node.`;
    return { status: 503, complaint: serverError(message, 'overloaded'), retryAfterMs: 1_000 };
  }
  const message =
    `This API key has its part of the ${crowd} that this node takes, and what is left is kept for other keys: ` +
    'ask again when some of its own are over, or for fewer at once.';
  const complaint: Complaint = { message, type: 'rate_limit_error', param: null, code: 'overloaded' };
  return { status: 429, complaint, retryAfterMs: 1_000 };
}

/** `isOut`: some of the answer is. `before`: what it was lost by before no member was found for it. */
export function refusalFor(
  cause: LossCause | 'no-place',
  about: { readonly model: string; readonly isOut: boolean; readonly before: LossCause | null },
): Refusal {
  const isUnplaced = cause === 'no-place' || cause === 'unreached';
  if (cause === 'engine' && !about.isOut) return enginesDied;
  // Nobody said anything of it: another entry node may reach a member that takes it, or a new engine is ready soon.
  if (isUnplaced && !about.isOut) return notPlaced(about.model, 'unavailable');
  if (cause === 'crowded' && !about.isOut) return crowded;
  return brokenOff(cause === 'no-place' ? (about.before ?? 'unreached') : cause);
}

const asked = (status: Refusal['status'], message: string, code: string): Refusal => ({
  status,
  complaint: { message, type: 'invalid_request_error', param: null, code },
  retryAfterMs: null,
});

/** Nobody has it, or it is told in a way that nobody can go on with: it is not begun again in silence. */
export const streamGone = asked(410, 'No member of the cluster can go on with this answer.', 'stream_gone');
export const notYours = asked(404, 'No such answer is known for this key.', 'stream_not_found');
export const otherRequest = asked(409, 'This answer was given to another request.', 'request_differs');

export const takenOver = asked(409, 'This answer goes on in another connection.', 'stream_taken');

export const entryLeaves: Refusal = {
  status: 503,
  complaint: serverError(
    'This node leaves the cluster and can relay no longer. Ask another one.',
    'node_leaving',
  ),
  retryAfterMs: 1_000,
};

/** An error in the client's stream, or instead of it. */
export const tell = (isBegun: boolean, refusal: Refusal): readonly Effect[] =>
  isBegun
    ? [
        { type: 'send', data: complaintJson(refusal.complaint), mark: null, refusal },
        { type: 'send', data: done, mark: null },
        { type: 'close' },
      ]
    : [{ type: 'refuse', refusal }];
