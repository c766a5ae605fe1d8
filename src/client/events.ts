/** Server-sent events, cut out of a stream of bytes and looked at no further than is needed (WHATWG HTML, 9.2). */

export type StreamEvent = {
  /** As it came, with the blank line that ends it. */
  readonly text: string;
  /** null: it has none. */
  readonly id: string | null;
  /** Nothing of the answer follows it. */
  readonly isLast: boolean;
  /** The node says that it goes, and can relay no longer. */
  readonly isFarewell: boolean;
};

const blankLine = /\r\n\r\n|\n\n|\r\r/;
/** What ends a chat or completion, a message and a response. */
const lastNames = new Set(['message_stop', 'response.completed', 'response.failed', 'response.incomplete']);

export class EventSplitter {
  readonly #decoder = new TextDecoder();
  #rest = '';

  /** The events that are complete now. */
  feed(bytes: Uint8Array): readonly StreamEvent[] {
    this.#rest += this.#decoder.decode(bytes, { stream: true });
    const events: StreamEvent[] = [];
    for (let end = blankLine.exec(this.#rest); end !== null; end = blankLine.exec(this.#rest)) {
      const length = end.index + end[0].length;
      events.push(read(this.#rest.slice(0, length)));
      this.#rest = this.#rest.slice(length);
    }
    return events;
  }

  /** What was begun and has not been ended. */
  rest(): string {
    return this.#rest;
  }
}

function read(text: string): StreamEvent {
  const lines = text.split(/\r\n|\n|\r/);
  const field = (name: string): string | null => {
    const line = lines.find((one) => one.startsWith(`${name}:`));
    return line === undefined ? null : line.slice(name.length + 1).replace(/^ /, '');
  };
  const data = field('data');
  return {
    text,
    id: field('id'),
    isLast: data === '[DONE]' || lastNames.has(field('event') ?? ''),
    isFarewell: data !== null && data.startsWith('{"error"') && isLeaving(data),
  };
}

function isLeaving(data: string): boolean {
  try {
    const { error } = JSON.parse(data) as { readonly error?: { readonly code?: unknown } | null };
    return error?.code === 'node_leaving';
  } catch {
    return false; // Whatever it is, it is the caller's.
  }
}
