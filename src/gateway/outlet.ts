/**
 * The way back to one client. Whoever asks for a stream and does not read it must not be buffered for without end: a
 * response is cut when more than a megabyte of its stream lies unsent, or when nothing of what lies there has moved for
 * a minute. Cutting closes the connection, and that aborts the engine like any client that leaves.
 */
import type { ServerResponse } from 'node:http';
import type { Writable } from 'node:stream';
import type { ClientEvent } from '../node/gate.ts';
import type { AnswerHead, ClientEnd } from '../node/running.ts';
import { answerHeaders } from './headers.ts';
import { refused, reply, replyJson } from './reply.ts';

const unsentBytesMax = 1_024 ** 2;
const stuckMs = 60_000;
/** How often responses are looked at, ms. */
const lookMs = 5_000;

type CutReason = 'unread' | 'stuck';

export type Outlet = {
  readonly response: ServerResponse;
  /** One event of a stream; the first one sends the head. */
  send(event: ClientEvent, head: () => AnswerHead): void;
  end(): void;
  /** Notes progress, and cuts when there has been none for too long. */
  look(nowMs: number): void;
};

const streamHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  // nginx in front of us would gather the events otherwise.
  'x-accel-buffering': 'no',
};

/** RFC 9112, 7.1: the end of a body in chunks. */
const lastChunk = '0\r\n\r\n';

export function openOutlet(response: ServerResponse, onCut: (why: CutReason) => void): Outlet {
  let written = 0;
  let moved = 0;
  let movedAtMs: number | null = null;
  let gathered = '';
  let isChunked = false;
  let isOut = false;

  function cut(why: CutReason): void {
    if (response.destroyed) return;
    onCut(why);
    response.destroy();
  }

  /**
   * The chunks of the transfer coding are made here, each as one text. Node.js would write a chunk in four pieces, which
   * costs as much again as all else that is done for an event; and what is a chunk already needs nothing of a response.
   */
  function begin(head: AnswerHead): void {
    response.writeHead(200, { ...streamHeaders, ...answerHeaders(head) });
    isChunked = response.chunkedEncoding;
    response.chunkedEncoding = false;
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
    const bytes = Buffer.byteLength(events);
    const chunk = isChunked ? `${bytes.toString(16)}\r\n${events}\r\n` : events;
    // Characters, as `writableLength` counts what sockets are given as text.
    written += chunk.length;
    // The head goes out with the first of them; until its turn comes a response has no socket.
    const to: Writable = isChunked && isOut && response.socket !== null ? response.socket : response;
    isOut = true;
    // As many bytes as characters are ASCII, which is copied as it is.
    to.write(chunk, bytes === events.length ? 'latin1' : 'utf8');
    if (response.writableLength > unsentBytesMax) cut('unread');
  }

  return {
    response,
    send: ({ data, id }, head) => {
      if (response.destroyed || response.writableEnded) return;
      if (!response.headersSent) begin(head());
      const event = id === null ? `data: ${data}\n\n` : `id: ${id}\ndata: ${data}\n\n`;
      gather(event);
    },
    end: () => {
      release();
      if (!response.destroyed) response.end(isChunked ? lastChunk : '', 'latin1');
    },
    look: (nowMs) => {
      const left = response.writableLength;
      // What was written by others than `send` shows only as what is left of it.
      const gone = written - left;
      if (left === 0 || gone !== moved || movedAtMs === null) movedAtMs = nowMs;
      else if (nowMs - movedAtMs > stuckMs) cut('stuck');
      moved = gone;
    },
  };
}

/** As a generation sees it. */
export const clientAt = (outlet: Outlet): ClientEnd => ({
  send: outlet.send,
  close: outlet.end,
  answer: ({ status, body }, head) => replyJson(outlet.response, status, body, answerHeaders(head)),
  refuse: (refusal) => reply(outlet.response, refused(refusal)),
});

type Outlets = {
  /** Watches a response until it closes. */
  open(response: ServerResponse, onCut: (why: CutReason) => void): Outlet;
  close(): void;
};

export function watchOutlets(): Outlets {
  const open = new Set<Outlet>();
  const looking = setInterval(() => {
    const now = performance.now();
    for (const outlet of open) outlet.look(now);
  }, lookMs);
  looking.unref();
  return {
    open: (response, onCut) => {
      const outlet = openOutlet(response, onCut);
      open.add(outlet);
      response.on('close', () => open.delete(outlet));
      return outlet;
    },
    close: () => clearInterval(looking),
  };
}
