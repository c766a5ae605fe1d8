/**
 * The way back to one client. Whoever asks for a stream and does not read it must not be buffered for without end: a
 * response is cut when more than a megabyte of its stream lies unsent, or when nothing of what lies there has moved for
 * a minute. Cutting closes the connection, and that aborts the engine like any client that leaves.
 *
 * What comes in one burst (the rest of a long answer, the log probabilities of a prompt) nobody could have read yet,
 * so it may lie there besides until it is out, as long as there is room for it among the bursts of all, and its key has part
 * in that.
 */
import type { ServerResponse } from 'node:http';
import type { ClientEvent } from '../node/gate.ts';
import type { AnswerHead, ClientEnd } from '../node/client-end.ts';
import { FleetingSet } from '../std/fleeting.ts';
import { everyone } from '../std/room.ts';
import { complaintJson, done } from '../stream/answer.ts';
import { crowded } from '../stream/refusal.ts';
import { openFlow, portionBytes } from './flow.ts';
import { answerHeaders } from './headers.ts';
import { openAiError, refused, reply, type Reply } from './reply.ts';
import { roomFor, type Room, type Share } from './room.ts';

const unsentBytesMax = 1_024 ** 2;
/** Of all responses together, bytes: ten answers of a hundred thousand tokens. */
const burstBytesMax = 512 * 1_024 ** 2;
const stuckMs = 60_000;
/** How often responses are looked at, ms. */
const lookMs = 5_000;

type CutReason = 'unread' | 'stuck';

export type Outlet = {
  readonly response: ServerResponse;
  /** Whose part of the room for bursts it takes, before anything is sent; else everyone's. */
  belongsTo(owner: string): void;
  /** One event of a stream; the first one sends the head. */
  send(event: ClientEvent, head: () => AnswerHead): void;
  /** Keeps the connection of a stream open that has nothing to say: the head, where none is out, and a comment. */
  comment(head: () => AnswerHead): void;
  end(): void;
  /** A whole answer, where there is room for it until it is out. */
  answer: ClientEnd['answer'];
  /** The same, of bytes for which there is room already. */
  deliver(status: number, headers: Readonly<Record<string, string>>, body: Buffer): void;
  /** No answer, or no rest of one: by a status, or by an error event where the head is out. */
  refuse(told: Reply): void;
  /** Notes progress, and cuts when there has been none for too long. */
  look(nowMs: number): void;
};

/** A line that begins with a colon is passed over by whoever reads events (WHATWG HTML, 9.2.6). */
const comment = ':\n\n';

const streamHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  // nginx in front of us would gather the events otherwise.
  'x-accel-buffering': 'no',
};

export function openOutlet(response: ServerResponse, bursts: Room, onCut: (why: CutReason) => void): Outlet {
  const stream = openStream(response, bursts, () => cut('unread'));
  const { flow } = stream;
  let moved = 0;
  let movedAtMs: number | null = null;

  function cut(why: CutReason): void {
    if (response.destroyed) return;
    onCut(why);
    response.destroy();
  }

  function deliver(status: number, headers: Readonly<Record<string, string>>, body: Buffer): void {
    if (!response.headersSent && !response.destroyed) flow.answer(status, headers, body);
  }

  /** What has no place in a stream that has begun ends it. */
  function breakOff(complaint: string): void {
    if (response.destroyed || response.writableEnded) return;
    stream.gather(`data: ${complaint}\n\ndata: ${done}\n\n`);
    stream.end();
  }

  return {
    response,
    belongsTo: stream.belongsTo,
    send: ({ data, id }, head) => {
      if (stream.begin(head))
        stream.gather(id === null ? `data: ${data}\n\n` : `id: ${id}\ndata: ${data}\n\n`);
    },
    // Where something lies unread, the connection is open for that.
    comment: (head) => {
      if (stream.begin(head) && flow.unsent() === 0) stream.gather(comment);
    },
    end: stream.end,
    refuse: (told) => {
      if (response.headersSent) breakOff(complaintJson(told.complaint));
      else reply(response, told);
    },
    answer: ({ status, body }, head) => {
      if (response.headersSent) return breakOff(JSON.stringify(JSON.parse(openAiError(status, body))));
      const bytes = Buffer.from(body);
      if (!stream.hasRoomFor(bytes.length)) return reply(response, refused(crowded));
      deliver(status, { 'content-type': 'application/json', ...answerHeaders(head) }, bytes);
    },
    deliver,
    look: (nowMs) => {
      stream.settle();
      const gone = flow.gone();
      // What was written by others than `send` shows only as what is left of it.
      if (flow.unsent() === 0 || gone !== moved || movedAtMs === null) movedAtMs = nowMs;
      else if (nowMs - movedAtMs > stuckMs) cut('stuck');
      moved = gone;
    },
  };
}

/** What is to go out, and how much of it may lie unsent. */
function openStream(response: ServerResponse, bursts: Room, onUnread: () => void) {
  const flow = openFlow(response);
  let share: Share = bursts.of(everyone);
  let gathered = '';
  /** What may lie unsent besides, bytes: of bursts, as far as they are not out. */
  let burstBytes = 0;
  let hadBurst = false;

  /** Events that came in one read leave in one write, and not a moment later. */
  function gather(event: string): void {
    if (gathered === '') process.nextTick(release);
    gathered += event;
  }

  function release(): void {
    const events = gathered;
    gathered = '';
    if (events === '' || response.destroyed || response.writableEnded) return;
    settle();
    const unsent = flow.unsent();
    const bytes = events.length > portionBytes ? Buffer.byteLength(events) : events.length;
    if (bytes > unsentBytesMax) allow(burstBytes + bytes);
    if (unsent + bytes > unsentBytesMax + burstBytes) return onUnread();
    flow.write(events);
  }

  /** Gives back the room of what is out. */
  function settle(): void {
    const unsent = flow.unsent();
    if (burstBytes > unsent) allow(unsent);
  }

  function allow(bytes: number): void {
    if (bytes < burstBytes) share.giveBack(burstBytes - bytes);
    else if (share.take(bytes - burstBytes) !== null) return;
    else if (!hadBurst) response.once('close', () => allow(0));
    hadBurst = true;
    burstBytes = bytes;
  }

  return {
    ...{ flow, gather, settle },
    belongsTo: (owner: string): void => void (share = bursts.of(owner)),
    /** False: nobody hears anything any more. */
    begin: (head: () => AnswerHead): boolean => {
      if (response.destroyed || response.writableEnded) return false;
      if (!response.headersSent) flow.begin({ ...streamHeaders, ...answerHeaders(head()) });
      return true;
    },
    end: (): void => {
      release();
      flow.end();
    },
    /** For all of an answer at once. */
    hasRoomFor: (bytes: number): boolean => {
      if (bytes > unsentBytesMax) allow(bytes);
      return bytes <= unsentBytesMax + burstBytes;
    },
  };
}

/** As a generation sees it. */
export const clientAt = (outlet: Outlet): ClientEnd => ({
  send: outlet.send,
  comment: outlet.comment,
  close: outlet.end,
  answer: outlet.answer,
  refuse: (refusal) => outlet.refuse(refused(refusal)),
});

type Outlets = {
  /** Watches a response until it closes. */
  open(response: ServerResponse, onCut: (why: CutReason) => void): Outlet;
  close(): void;
};

export function watchOutlets(): Outlets {
  const open = new FleetingSet<Outlet>();
  const bursts = roomFor(burstBytesMax);
  const looking = setInterval(() => {
    const now = performance.now();
    for (const outlet of open.all()) outlet.look(now);
  }, lookMs);
  looking.unref();
  return {
    open: (response, onCut) => {
      const outlet = openOutlet(response, bursts, onCut);
      response.on('close', open.add(outlet));
      return outlet;
    },
    close: () => clearInterval(looking),
  };
}
