/**
 * Between reading a request and beginning it: may its key ask for more just now, and is there room for it? Most requests
 * pass in the same turn of the event loop. While every member that serves a model has a long queue of its own, requests
 * wait here, where who comes next is decided by priority and by fairness between keys.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { ApiKey } from '../node/api-key.ts';
import { once } from '../node/once.ts';
import type { Clock } from '../node/ports.ts';
import type { Serving } from '../node/serving.ts';
import type { Json } from '../std/json.ts';
import type { Accounts } from './accounts.ts';
import { busy, tooMany, type Reply } from './reply.ts';
import { openWaitingRoom } from './waiting-room.ts';

/** Without a key all share one place in the order. */
const nobody = '';
const priorityMax = 1_000;

/** What an answer takes, while its key has had none: a paragraph or two. */
const answerTokens = 256;
/** Of the newest answer in what is expected of the next. */
const alpha = 0.1;
const charactersPerToken = 4;
const keysMax = 10_000;
/** Bodies of all requests that were let in, bytes: each is kept to the end, for an engine that has to be asked again. */
const heldBytesMax = 512 * 1_024 ** 2;

export type Entrance = {
  /**
   * Calls `go` or `refuse` once, at once or later, unless the result is called before: when the client has gone or has
   * everything. `go` takes what to call with the tokens of the answer, where they are known, and returns its own end.
   */
  enter(asked: Asked, turn: Turn): () => void;
  /**
   * For the rest of an answer, which was let in with its beginning: what to call with the tokens of all of it. Those
   * behind the `from` that the client had are charged here, for they may be charged nowhere else.
   */
  rest(key: ApiKey | null, from: number): (tokens: number) => void;
  close(): void;
};

type Asked = {
  readonly key: ApiKey | null;
  readonly model: string;
  readonly body: Json;
  readonly headers: IncomingHttpHeaders;
  /** Of the body as it came. */
  readonly bytes: number;
  /** What of it may be prompt, characters: all of a JSON body, and nothing of a file. */
  readonly characters: number;
  /** A model computes for it word by word. */
  readonly generates: boolean;
};

type Turn = {
  readonly go: (spent: (tokens: number) => void) => () => void;
  readonly refuse: (reply: Reply) => void;
};

export function openEntrance(ports: {
  readonly accounts: Accounts;
  readonly serving: Pick<Serving, 'model' | 'report'>;
  readonly clock: Clock;
}): Entrance {
  const { accounts, serving } = ports;
  const room = openWaitingRoom(ports);
  const expected = new Map<string, number>();
  let heldBytes = 0;

  /** What to call with the tokens of an answer; it counts once. */
  const charge = (key: ApiKey, estimate: number): ((answer: number) => void) => {
    let isOpen = true;
    return (answer) => {
      if (!isOpen) return;
      isOpen = false;
      accounts.settle(key, answer - estimate);
      // That there was none says nothing of the next one.
      if (answer === 0) return;
      if (expected.size >= keysMax && !expected.has(key.name)) expected.clear();
      const mean = expected.get(key.name) ?? answerTokens;
      expected.set(key.name, mean + alpha * (answer - mean));
    };
  };

  function admit(key: ApiKey, { body, characters, generates }: Asked): Admitted | Reply {
    const prompt = Math.ceil(characters / charactersPerToken);
    const usual = generates ? (expected.get(key.name) ?? answerTokens) : 0;
    const answer = Math.ceil(Math.min(maxTokensOf(body), usual));
    const verdict = accounts.admit(key, prompt + answer);
    if (verdict.type === 'admitted')
      return { spent: charge(key, answer), refund: () => accounts.settle(key, -prompt - answer) };
    serving.report({ fact: 'request.limited', key: key.name, what: verdict.what });
    return tooMany(verdict.what, verdict.retryAfterMs);
  }

  function enter(asked: Asked, turn: Turn): () => void {
    const { bytes } = asked;
    if (heldBytes + bytes > heldBytesMax) {
      turn.refuse(heldEnough);
      return () => {};
    }
    heldBytes += bytes;
    const end = passOn(asked, turn);
    return once(() => {
      heldBytes -= bytes;
      end();
    });
  }

  function passOn(asked: Asked, { go, refuse }: Turn): () => void {
    const { key, model, body, headers } = asked;
    const admitted = key === null ? unmetered : admit(key, asked);
    if ('status' in admitted) {
      refuse(admitted);
      return () => {};
    }
    if (room.isFree(model)) return go(admitted.spent);
    let end: (() => void) | null = null;
    const leave = room.wait(model, {
      ...{ key: key?.name ?? nobody, priority: priorityOf(body, headers) },
      begin: () => (end = go(admitted.spent)),
      refuse: (reply) => {
        admitted.refund();
        serving.report({ fact: 'request.unplaced', model, why: reply.complaint.code });
        refuse(reply);
      },
    });
    return () => {
      if (end !== null) return end();
      if (leave()) admitted.refund();
    };
  }

  return {
    enter,
    rest: (key, from) => (tokens) => {
      if (key !== null && tokens > from) accounts.settle(key, tokens - from);
    },
    close: room.close,
  };
}

/** `refund`: it was not begun after all. */
type Admitted = { readonly spent: (tokens: number) => void; readonly refund: () => void };

const heldEnough = busy('Too many large requests at once.', 'overloaded', 1_000);

const unmetered: Admitted = { spent: () => {}, refund: () => {} };

function maxTokensOf(body: Json): number {
  const asked = body['max_completion_tokens'] ?? body['max_tokens'] ?? body['max_output_tokens'];
  return typeof asked === 'number' && asked > 0 ? asked : Infinity;
}

/** The body's word counts before the header's. What is no whole number is the usual priority. */
function priorityOf(body: Json, headers: IncomingHttpHeaders): number {
  const asked = Number(body['priority'] ?? headers['x-vllm-priority'] ?? 0);
  return Number.isSafeInteger(asked) ? Math.min(priorityMax, Math.max(-priorityMax, asked)) : 0;
}
