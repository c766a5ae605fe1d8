/**
 * One client and its request: it knows the answer of an engine that nothing happens to, and holds every word that it is
 * told against it.
 */
import type { ClientEvent } from '../../../src/node/gate.ts';
import type { Asked } from '../../../src/node/generations.ts';
import type { ClientEnd } from '../../../src/node/client-end.ts';
import type { LegRequest } from '../../../src/stream/continuation.ts';
import type { Refusal } from '../../../src/stream/refusal.ts';
import type { MemberId } from '../../../src/std/member-id.ts';
import { chunkTokensMax } from './engine.ts';
import { expectedOf, textOf, type Body, type Expected, type ToldChoice } from './answer.ts';
import type { Station } from './station.ts';

/** `way`: of the two in which a gateway can carry an answer, the one that this request allows. */
export type Wish = {
  readonly path: LegRequest['path'];
  readonly body: Body & { readonly model: string; readonly presence_penalty?: number };
  readonly way: 'ids' | 'whole';
};

/** `lost`: with its entry node, and nobody went on with it. */
export type End = 'answered' | 'failed' | 'refused' | 'turned-away' | 'lost' | 'left';

/** One request to one engine on its behalf. */
export type LegTrack = {
  readonly member: MemberId;
  /** Of the client's requests to entry nodes the one that it was opened for; null: for one that it has given up. */
  readonly part: number | null;
  /** Of its answer's choices the one that it is for. */
  readonly choice: number;
  readonly at: number;
  /** Something of the answer came by it: so many characters, the last of them then. */
  fruitful: boolean;
  chars: number;
  heardAt: number;
  /** Not reached, or not admitted. */
  unreached: boolean;
  /** What it said, or its end, made the entry node look for another one. */
  lost: boolean;
};

/** What has come of one choice. */
type Heard = { readonly answer: Expected; chars: number; ids: number; finish: string | null };

export class SimClient implements ClientEnd {
  readonly id: string;
  readonly wish: Wish;
  /** The node that it hangs on; of one that goes on elsewhere the newest. */
  entry: Station;
  /** It goes on elsewhere by itself when its entry node is lost. */
  readonly goesOn: boolean;
  /** Requests to entry nodes before this one. */
  part = 0;
  readonly legs: LegTrack[] = [];
  /** null: it still waits. */
  end: End | null = null;
  /** What the last error that it was told said. */
  complaint = '';
  readonly #choices: readonly Heard[];
  readonly #onBroken: (what: string) => void;
  readonly #onEnd: (client: SimClient) => void;
  #tokensCounted: number | null = null;
  #isOver = false;
  #gone: () => void = () => {};

  constructor(
    about: { readonly id: string; readonly wish: Wish; readonly entry: Station; readonly goesOn: boolean },
    tell: { broken(what: string): void; end(client: SimClient): void },
  ) {
    this.id = about.id;
    this.wish = about.wish;
    this.entry = about.entry;
    this.goesOn = about.goesOn;
    this.#choices = expectedOf(about.wish.path, about.wish.body).map((answer) => ({
      ...{ answer, chars: 0, ids: 0, finish: null },
    }));
    this.#onBroken = (what) => tell.broken(`${about.id} at ${this.entry.id}: ${what}`);
    this.#onEnd = tell.end;
  }

  get asked(): Asked {
    const { path, body } = this.wish;
    const endpoint = path === '/v1/chat/completions' ? 'chat' : 'completions';
    return { endpoint, model: body.model, body, raw: JSON.stringify(body) };
  }

  /** Asks the next node. */
  hangsOn(entry: Station): void {
    this.entry = entry;
    this.part++;
  }

  /** Those of its newest request to an entry node. */
  get ownLegs(): readonly LegTrack[] {
    return this.legs.filter(({ part }) => part === this.part);
  }

  /** Characters of the answer that have come. */
  get heard(): number {
    return this.#choices.reduce((sum, { chars }) => sum + chars, 0);
  }

  send({ data }: ClientEvent): void {
    if (this.#isOver) return this.#onBroken(`told after its end: ${data}`);
    if (data === '[DONE]') return this.#complete();
    const event = JSON.parse(data) as Told;
    if (event.error !== undefined) {
      this.complaint = event.error.code ?? event.error.message;
      return;
    }
    if (this.complaint !== '') this.#onBroken(`told after an error: ${data}`);
    for (const choice of event.choices ?? []) this.#take(choice);
    if (event.usage !== undefined && event.choices?.length === 0)
      this.#tokensCounted = event.usage.completion_tokens;
  }

  /** No connection here is cut for its silence. */
  comment(): void {}

  close(): void {
    if (!this.#isOver) this.#onBroken('its stream was closed without an end');
    this.finish(this.complaint === '' ? 'answered' : 'failed');
  }

  answer({ status, body }: { readonly status: number; readonly body: string }): void {
    this.#isOver = true;
    if (status >= 300) {
      this.complaint = `status ${status}`;
      return this.finish('failed');
    }
    const { choices, usage } = JSON.parse(body) as Told;
    for (const choice of choices ?? []) this.#take(choice);
    this.#tokensCounted = usage?.completion_tokens ?? null;
    this.#beWhole();
    this.finish('answered');
  }

  refuse({ complaint, status }: Refusal): void {
    this.#isOver = true;
    this.complaint = complaint.code ?? String(status);
    this.finish(complaint.code === 'answer_lost' || complaint.code === 'node_leaving' ? 'failed' : 'refused');
  }

  /** `gone`: tells the entry node that the client has everything, or has gone. */
  onGone(gone: () => void): void {
    if (this.end === null) this.#gone = gone;
    else gone();
  }

  /** Once; what comes first counts. */
  finish(end: End): void {
    if (this.end !== null) return;
    this.end = end;
    this.#onEnd(this);
    this.#gone();
  }

  #take(choice: ToldChoice): void {
    const heard = this.#choices[choice.index ?? 0];
    if (heard === undefined) return this.#onBroken(`told of choice ${choice.index}`);
    const { answer } = heard;
    const text = textOf(choice);
    const due = answer.text.slice(heard.chars, heard.chars + text.length);
    if (text !== due) this.#onBroken(`at ${heard.chars} told ${say(text)} for ${say(due)}`);
    heard.chars += text.length;
    for (const id of choice.token_ids ?? []) {
      const dueId = answer.ids[heard.ids];
      const isPast = heard.ids - answer.ids.length < this.#slack && dueId === undefined;
      if (id !== dueId && !isPast) this.#onBroken(`token ${heard.ids} is ${id} instead of ${dueId}`);
      heard.ids++;
    }
    if (choice.finish_reason === null) return;
    if (heard.finish !== null) this.#onBroken('finished twice');
    heard.finish = choice.finish_reason;
  }

  #complete(): void {
    this.#isOver = true;
    if (this.complaint === '') this.#beWhole();
  }

  #beWhole(): void {
    const { body } = this.wish;
    const slack = this.#slack;
    const isRight = (tokens: number, due: number, more: number): boolean =>
      tokens >= due && tokens <= due + more;
    for (const { answer, chars, ids, finish } of this.#choices) {
      if (chars !== answer.text.length) this.#onBroken(`${chars} of ${answer.text.length} characters came`);
      if (finish !== answer.finish) this.#onBroken(`finished by ${finish} instead of ${answer.finish}`);
      if (body.return_token_ids === true && !isRight(ids, answer.ids.length, slack))
        this.#onBroken(`${ids} of ${answer.ids.length} tokens came`);
    }
    const due = this.#choices.reduce((sum, { answer }) => sum + answer.ids.length, 0);
    const wantsUsage = body.stream_options?.include_usage === true;
    const isCounted = isRight(this.#tokensCounted ?? -1, due, slack * this.#choices.length);
    if ((wantsUsage || this.#tokensCounted !== null) && !isCounted)
      this.#onBroken(`${this.#tokensCounted} tokens counted instead of ${due}`);
  }

  /**
   * A stop string of a chat, or one that spans a seam, is seen by the gateway alone, which cannot tell the tokens of one
   * chunk apart: those behind the string count.
   */
  get #slack(): number {
    const { path, body } = this.wish;
    const isGatewaysToFind = path === '/v1/chat/completions' || this.legs.length > this.#choices.length;
    return body.stop !== undefined && isGatewaysToFind ? chunkTokensMax - 1 : 0;
  }
}

type Told = {
  readonly error?: { readonly code?: string; readonly message: string };
  readonly choices?: readonly ToldChoice[];
  readonly usage?: { readonly completion_tokens: number };
};

const say = (text: string): string => JSON.stringify(text.slice(0, 40));
