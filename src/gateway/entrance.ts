/**
 * Between reading a request and beginning it: may its key ask for more just now, and is there room for it? Most requests
 * pass in the same turn of the event loop. While every member that serves a model has a long queue of its own, requests
 * wait here, where who comes next is decided by priority and by fairness between keys.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { once } from '../node/once.ts';
import type { Clock } from '../node/ports.ts';
import type { Serving } from '../node/serving.ts';
import type { Spent } from '../node/spent.ts';
import type { Json } from '../std/json.ts';
import { noRoom } from '../stream/refusal.ts';
import type { Accounts } from './accounts.ts';
import { openMeter, type Metered } from './meter.ts';
import { refused, tooMany, type Reply } from './reply.ts';
import { roomFor } from './room.ts';
import { openSearches } from './searches.ts';
import { openWaitingRoom } from './waiting-room.ts';

/** Without a key all share one place in the order. */
const nobody = '';
const priorityMax = 1_000;

/**
 * Bodies of all requests that were let in, as they came and as they were read, bytes, divided between keys: each is kept to
 * the end, for an engine that has to be asked again.
 */
const heldBytesMax = 512 * 1_024 ** 2;

export type Entrance = {
  /**
   * Calls `go` or `refuse` once, at once or later, unless the result is called before: when the client has gone or has
   * everything. `go` takes what to call with the tokens of the answer, where they are known, and returns its own end.
   */
  enter(asked: Asked, turn: Turn): () => void;
  /**
   * The same for the rest of an answer, which was let in with its beginning: it waits for nothing, and costs its key no
   * request, unless nobody knows of such an answer. `go` also takes what to call when it was found.
   */
  resume(asked: Resumed, turn: ResumedTurn): () => void;
  close(): void;
};

type Asked = Metered & {
  readonly model: string;
  readonly headers: IncomingHttpHeaders;
  /** Of the body, as it came and as it was read, and whose part of the room for them it takes. */
  readonly bytes: number;
  readonly owner: string;
};

type Turn = {
  readonly go: (spent: Spent) => () => void;
  readonly refuse: (reply: Reply) => void;
};

/** `from`: the tokens that the client has. */
type Resumed = Pick<Asked, 'key' | 'bytes' | 'owner'> & { readonly from: number };

type ResumedTurn = Pick<Turn, 'refuse'> & {
  readonly go: (spent: Spent, found: () => void) => () => void;
};

export function openEntrance(ports: {
  readonly accounts: Accounts;
  readonly serving: Pick<Serving, 'model' | 'report'>;
  readonly clock: Clock;
}): Entrance {
  const { serving, accounts, clock } = ports;
  const searches = openSearches();
  const room = openWaitingRoom(ports);
  const meter = openMeter(ports);
  const hold = openHold();
  const letIn = reportTo(serving);

  function passOn(asked: Asked, { go, refuse }: Turn): () => void {
    const { key, model, body, headers } = asked;
    const admitted = meter.admit(asked);
    if ('status' in admitted) {
      refuse(admitted);
      return () => {};
    }
    if (room.isFree(model)) {
      letIn(model, 0);
      return go(admitted.spent);
    }
    const since = clock.now();
    let end: (() => void) | null = null;
    const leave = room.wait(model, {
      ...{ key: key?.name ?? nobody, priority: priorityOf(body, headers) },
      begin: () => {
        letIn(model, clock.now() - since);
        end = go(admitted.spent);
      },
      refuse: (reply) => {
        admitted.refund();
        serving.report({ fact: 'request.unplaced', model, why: reply.status === 429 ? 'full' : 'late' });
        refuse(reply);
      },
    });
    return () => {
      if (end !== null) return end();
      if (leave()) admitted.refund();
    };
  }

  function search({ key, from }: Resumed, { go, refuse }: ResumedTurn): () => void {
    const over = searches.begin(key?.name ?? nobody);
    if (over === null) {
      refuse(searchedEnough);
      return () => {};
    }
    let isFound = false;
    const end = go(meter.rest(key, from), () => {
      isFound = true;
      over();
    });
    return () => {
      over();
      // Who asks for what nobody has would ask for nothing otherwise.
      if (!isFound && key !== null) accounts.admit(key, 0);
      end();
    };
  }

  return {
    enter: (asked, turn) => hold(asked, turn.refuse, () => passOn(asked, turn)),
    resume: (asked, turn) => hold(asked, turn.refuse, () => search(asked, turn)),
    close: room.close,
  };
}

/** Tells who is let in. What nobody serves is no model: a client may name any. */
const reportTo =
  (serving: Pick<Serving, 'model' | 'report'>) =>
  (model: string, waitedMs: number): void => {
    if (serving.model(model) !== null) serving.report({ fact: 'request.admitted', model, waitedMs });
  };

/** Keeps room for a body while what `act` begins has not ended. */
function openHold() {
  const held = roomFor(heldBytesMax);
  return (
    { bytes, owner }: Pick<Asked, 'bytes' | 'owner'>,
    refuse: Turn['refuse'],
    act: () => () => void,
  ): (() => void) => {
    const share = held.of(owner);
    const lack = share.take(bytes);
    if (lack !== null) {
      refuse(refused(noRoom('large requests', lack)));
      return () => {};
    }
    const end = act();
    return once(() => {
      share.giveBack(bytes);
      end();
    });
  };
}

const searchedEnough = tooMany('searches', 1_000);

/** The body's word counts before the header's. What is no whole number is the usual priority. */
function priorityOf(body: Json, headers: IncomingHttpHeaders): number {
  const said = body['priority'] ?? headers['x-vllm-priority'] ?? 0;
  const asked = typeof said === 'number' || typeof said === 'string' ? Number(said) : 0;
  return Number.isSafeInteger(asked) ? Math.min(priorityMax, Math.max(-priorityMax, asked)) : 0;
}
