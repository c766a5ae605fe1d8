/** Server-sent events, cut out of a stream of bytes and looked at no further than is needed (WHATWG HTML, 9.2). */

export type StreamEvent = {
  /** As it came, with the blank line that ends it. */
  readonly text: string;
  /** Nothing is said in it: its node lives, and works at the answer. */
  readonly isComment: boolean;
  /** null: it has none. */
  readonly id: string | null;
  /** Nothing of the answer follows it. */
  readonly isLast: boolean;
  /** What the node says in place of the rest; null: nothing of that kind. */
  readonly farewell: Farewell | null;
};

/** Another node may do better: this one goes, or finds nobody who goes on with it. Or another connection has it. */
type Farewell = 'elsewhere' | 'taken';

const blankLine = /\r\n\r\n|\n\n|\r\r/g;
/** Characters at the end of what was searched with which a blank line may begin. */
const beginsMax = 3;
const farewells: ReadonlyMap<unknown, Farewell> = new Map([
  ...['node_leaving', 'overloaded', 'model_starting', 'model_unavailable'].map(
    (code) => [code, 'elsewhere'] as const,
  ),
  ['stream_taken', 'taken'],
]);
/** What ends a chat or completion, a message and a response. */
const lastNames = new Set(['message_stop', 'response.completed', 'response.failed', 'response.incomplete']);

export class EventSplitter {
  readonly #decoder = new TextDecoder();
  /** Of the event that has begun: what was searched, and is neither searched nor copied again before it ends. */
  #searched: string[] = [];
  /** And the end of it. */
  #tail = '';

  /** The events that are complete now. */
  feed(bytes: Uint8Array): readonly StreamEvent[] {
    const text = this.#tail + this.#decoder.decode(bytes, { stream: true });
    const events: StreamEvent[] = [];
    let from = 0;
    for (const { 0: blank, index } of text.matchAll(blankLine)) {
      const end = index + blank.length;
      events.push(read(this.#searched.join('') + text.slice(from, end)));
      this.#searched = [];
      from = end;
    }
    const tailAt = Math.max(from, text.length - beginsMax);
    this.#searched.push(text.slice(from, tailAt));
    this.#tail = text.slice(tailAt);
    return events;
  }

  /** What was begun and has not been ended. */
  rest(): string {
    return this.#searched.join('') + this.#tail;
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
    isComment: lines.every((line) => line === '' || line.startsWith(':')),
    id: field('id'),
    isLast: data === '[DONE]' || lastNames.has(field('event') ?? ''),
    farewell: data !== null && data.startsWith('{"error"') ? farewellIn(data) : null,
  };
}

function farewellIn(data: string): Farewell | null {
  try {
    const { error } = JSON.parse(data) as { readonly error?: { readonly code?: unknown } | null };
    return farewells.get(error?.code) ?? null;
  } catch {
    return null; // Whatever it is, it is the caller's.
  }
}
