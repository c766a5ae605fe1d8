/**
 * How an answer gets onto its connection. Of a stream the chunks of the transfer coding (RFC 9112, 7.1) are made here,
 * each as one text: Node.js would write a chunk in four pieces, which costs as much again as all else that is done for
 * an event; and what is a chunk already needs nothing of a response.
 *
 * What is large leaves in portions, the next when the one before has gone: of one write nobody can tell how much of it
 * is out, and whoever reads it slowly would look like one that does not read at all.
 */
import type { ServerResponse } from 'node:http';
import type { Writable } from 'node:stream';

/** Who reads no more than this in a minute does not read: 35 kbit/s. */
export const portionBytes = 256 * 1_024;

const lastChunk = '0\r\n\r\n';

type Flow = {
  /** Sends the head. */
  begin(headers: Readonly<Record<string, string>>): void;
  /** Sends the whole of an answer that is no stream. */
  answer(status: number, headers: Readonly<Record<string, string>>, body: Buffer): void;
  write(events: string): void;
  /** What was written before goes out first. */
  end(): void;
  /** Bytes that were written and are not out, as far as it shows. */
  unsent(): number;
  /** Bytes that are out. */
  gone(): number;
};

export function openFlow(response: ServerResponse): Flow {
  let written = 0;
  let isChunked = false;
  let isOut = false;
  let isEnding = false;
  const waiting: Buffer[] = [];
  let waitingBytes = 0;

  /** What to wait for the `drain` of before there is more; null: nothing. */
  function put(part: string | Buffer, encoding: BufferEncoding): Writable | null {
    // Characters of a text, as `writableLength` counts what sockets are given.
    written += part.length;
    // The head goes out with the first of them; until its turn comes a response has no socket.
    const to: Writable = isChunked && isOut && response.socket !== null ? response.socket : response;
    isOut = true;
    return to.write(part, encoding) ? null : to;
  }

  function queue(bytes: Buffer): void {
    const isFirst = waitingBytes === 0;
    for (let at = 0; at < bytes.length; at += portionBytes)
      waiting.push(bytes.subarray(at, at + portionBytes));
    waitingBytes += bytes.length;
    if (isFirst) pump();
  }

  function pump(): void {
    let blocked: Writable | null = null;
    while (blocked === null && !response.destroyed) {
      const part = waiting.shift();
      if (part === undefined) break;
      waitingBytes -= part.length;
      blocked = put(part, 'latin1');
    }
    if (waitingBytes > 0) blocked?.once('drain', pump);
    else if (isEnding) finish();
  }

  function finish(): void {
    if (!response.destroyed) response.end(isChunked ? lastChunk : '', 'latin1');
  }

  return {
    begin: (headers) => {
      response.writeHead(200, headers);
      isChunked = response.chunkedEncoding;
      response.chunkedEncoding = false;
    },
    answer: (status, headers, body) => {
      response.writeHead(status, { ...headers, 'content-length': body.length });
      isEnding = true;
      if (body.length <= portionBytes) response.end(body);
      else queue(body);
    },
    write: (events) => {
      const bytes = Buffer.byteLength(events);
      const text = isChunked ? `${bytes.toString(16)}\r\n${events}\r\n` : events;
      if (bytes > portionBytes || waitingBytes > 0) queue(Buffer.from(text));
      // As many bytes as characters are ASCII, which is copied as it is.
      else put(text, bytes === events.length ? 'latin1' : 'utf8');
    },
    end: () => {
      isEnding = true;
      if (waitingBytes === 0) finish();
    },
    unsent: () => waitingBytes + response.writableLength,
    gone: () => written - response.writableLength,
  };
}
