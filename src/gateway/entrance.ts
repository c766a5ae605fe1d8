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
import type { Accounts } from './accounts.ts';
import { openMeter, type Meter, type Metered } from './meter.ts';
import { busy, type Reply } from './reply.ts';
import { openWaitingRoom } from './waiting-room.ts';

/** Without a key all share one place in the order. */
const nobody = '';
const priorityMax = 1_000;

/** Bodies of all requests that were let in, bytes: each is kept to the end, for an engine that has to be asked again. */
const heldBytesMax = 512 * 1_024 ** 2;

export type Entrance = {
  /**
   * Calls `go` or `refuse` once, at once or later, unless the result is called before: when the client has gone or has
   * everything. `go` takes what to call with the tokens of the answer, where they are known, and returns its own end.
   */
  enter(asked: Asked, turn: Turn): () => void;
  readonly rest: Meter['rest'];
  close(): void;
};

type Asked = Metered & {
  readonly model: string;
  readonly headers: IncomingHttpHeaders;
  /** Of the body as it came. */
  readonly bytes: number;
};

type Turn = {
  readonly go: (spent: Spent) => () => void;
  readonly refuse: (reply: Reply) => void;
};

export function openEntrance(ports: {
  readonly accounts: Accounts;
  readonly serving: Pick<Serving, 'model' | 'report'>;
  readonly clock: Clock;
}): Entrance {
  const { serving } = ports;
  const room = openWaitingRoom(ports);
  const meter = openMeter(ports);
  let heldBytes = 0;

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
    const admitted = meter.admit(asked);
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

  return { enter, rest: meter.rest, close: room.close };
}

const heldEnough = busy('Too many large requests at once.', 'overloaded', 1_000);

/** The body's word counts before the header's. What is no whole number is the usual priority. */
function priorityOf(body: Json, headers: IncomingHttpHeaders): number {
  const said = body['priority'] ?? headers['x-vllm-priority'] ?? 0;
  const asked = typeof said === 'number' || typeof said === 'string' ? Number(said) : 0;
  return Number.isSafeInteger(asked) ? Math.min(priorityMax, Math.max(-priorityMax, asked)) : 0;
}
