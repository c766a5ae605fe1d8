/**
 * The way back to one client. Whoever asks for a stream and does not read it must not be buffered for without end: a
 * response is cut when more than a megabyte of its stream lies unsent, or when nothing of what lies there has moved for
 * a minute. Cutting closes the connection, and that aborts the engine like any client that leaves.
 *
 * What comes in one burst (the rest of a long answer, the log probabilities of a prompt) nobody could have read yet,
 * so it may lie there besides until it is out, as long as there is room for it among the bursts of all.
 */
import type { ServerResponse } from 'node:http';
import type { ClientEvent } from '../node/gate.ts';
import type { AnswerHead, ClientEnd } from '../node/running.ts';
import { crowded } from '../stream/refusal.ts';
import { openFlow, portionBytes } from './flow.ts';
import { answerHeaders } from './headers.ts';
import { refused, reply, replyJson } from './reply.ts';
import { roomFor, type Room } from './room.ts';

const unsentBytesMax = 1_024 ** 2;
/** Of all responses together, bytes: ten answers of a hundred thousand tokens. */
const burstBytesMax = 512 * 1_024 ** 2;
const stuckMs = 60_000;
/** How often responses are looked at, ms. */
const lookMs = 5_000;

type CutReason = 'unread' | 'stuck';

export type Outlet = {
  readonly response: ServerResponse;
  /** One event of a stream; the first one sends the head. */
  send(event: ClientEvent, head: () => AnswerHead): void;
  end(): void;
  /** A whole answer, where there is room for it until it is out. */
  answer: ClientEnd['answer'];
  /** Notes progress, and cuts when there has been none for too long. */
  look(nowMs: number): void;
};

const streamHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  // nginx in front of us would gather the events otherwise.
  'x-accel-buffering': 'no',
};

export function openOutlet(response: ServerResponse, bursts: Room, onCut: (why: CutReason) => void): Outlet {
  const flow = openFlow(response);
  let moved = 0;
  let movedAtMs: number | null = null;
  let gathered = '';
  /** What may lie unsent besides, bytes: of bursts, as far as they are not out. */
  let burstBytes = 0;
  let hadBurst = false;

  function cut(why: CutReason): void {
    if (response.destroyed) return;
    onCut(why);
    response.destroy();
  }

  /** Events that came in one read leave in one write, and not a moment later. */
  function gather(event: string): void {
    if (gathered === '') process.nextTick(release);
    gathered += event;
  }

  function release(): void {
    const events = gathered;
    gathered = '';
    if (events === '' || response.destroyed || response.writableEnded) return;
    const unsent = flow.unsent();
    if (burstBytes > unsent) allow(unsent);
    const bytes = events.length > portionBytes ? Buffer.byteLength(events) : events.length;
    if (bytes > unsentBytesMax) allow(burstBytes + bytes);
    if (unsent + bytes > unsentBytesMax + burstBytes) return cut('unread');
    flow.write(events);
  }

  function allow(bytes: number): void {
    if (bytes < burstBytes) bursts.giveBack(burstBytes - bytes);
    else if (!bursts.take(bytes - burstBytes)) return;
    else if (!hadBurst) response.once('close', () => allow(0));
    hadBurst = true;
    burstBytes = bytes;
  }

  return {
    response,
    send: ({ data, id }, head) => {
      if (response.destroyed || response.writableEnded) return;
      if (!response.headersSent) flow.begin({ ...streamHeaders, ...answerHeaders(head()) });
      const event = id === null ? `data: ${data}\n\n` : `id: ${id}\ndata: ${data}\n\n`;
      gather(event);
    },
    end: () => {
      release();
      flow.end();
    },
    answer: ({ status, body }, head) => {
      const bytes = Buffer.byteLength(body);
      if (bytes > unsentBytesMax) allow(bytes);
      if (bytes > unsentBytesMax + burstBytes) return reply(response, refused(crowded));
      replyJson(response, status, body, answerHeaders(head));
    },
    look: (nowMs) => {
      const unsent = flow.unsent();
      if (burstBytes > unsent) allow(unsent);
      const gone = flow.gone();
      // What was written by others than `send` shows only as what is left of it.
      if (unsent === 0 || gone !== moved || movedAtMs === null) movedAtMs = nowMs;
      else if (nowMs - movedAtMs > stuckMs) cut('stuck');
      moved = gone;
    },
  };
}

/** As a generation sees it. */
export const clientAt = (outlet: Outlet): ClientEnd => ({
  send: outlet.send,
  close: outlet.end,
  answer: outlet.answer,
  refuse: (refusal) => reply(outlet.response, refused(refusal)),
});

type Outlets = {
  /** Watches a response until it closes. */
  open(response: ServerResponse, onCut: (why: CutReason) => void): Outlet;
  close(): void;
};

export function watchOutlets(): Outlets {
  const open = new Set<Outlet>();
  const bursts = roomFor(burstBytesMax);
  const looking = setInterval(() => {
    const now = performance.now();
    for (const outlet of open) outlet.look(now);
  }, lookMs);
  looking.unref();
  return {
    open: (response, onCut) => {
      const outlet = openOutlet(response, bursts, onCut);
      open.add(outlet);
      response.on('close', () => open.delete(outlet));
      return outlet;
    },
    close: () => clearInterval(looking),
  };
}
