/**
 * Ids to text as they come, with the habits of vLLM's detokenizer, quirks included, because a gateway has to live
 * with them:
 *
 * - bytes of an unfinished character are held back, and dropped when the answer ends there;
 * - bytes that turn out to be no character come as U+FFFD together with the next token;
 * - if the prompt itself ends inside a character, the first text is the whole prompt and what completes it;
 * - with stop strings the last characters are held back all the time, so that a stop string never shows in part.
 *
 * The first three follow from the one rule of `DecodeStream` (Hugging Face tokenizers): decode a window of ids, and
 * deliver what is new only when it does not end in U+FFFD.
 */
import { decode } from './vocabulary.ts';

export type TextRules = {
  readonly skipSpecial: boolean;
  readonly stop: readonly string[];
  readonly includeStop: boolean;
  /** Stop strings do not count before so many tokens. */
  readonly minTokens: number;
};

const replacement = '\uFFFD';

export class Detokenizer {
  readonly #rules: TextRules;
  #window: number[];
  /** Text of the first `#known` ids of the window; empty as long as it ends inside a character. */
  #prefix = '';
  #known = 0;
  #text = '';
  #delivered = 0;
  #tokens = 0;

  constructor(promptIds: readonly number[], rules: TextRules) {
    this.#rules = rules;
    this.#window = [...promptIds];
  }

  /** All of the text so far, held back or not; ends before (or with) a stop string once one was found. */
  get text(): string {
    return this.#text;
  }

  /** Takes one more id and returns the stop string that it completed, if any. */
  push(id: number): string | null {
    this.#tokens += 1;
    const added = this.#decodeNext(id);
    this.#text += added;
    const due = this.#tokens > this.#rules.minTokens;
    return added === '' || !due ? null : this.#cutAtStop(added.length);
  }

  /** Counts an id that shows no text: the token that ended the answer. */
  pushSilently(): void {
    this.#tokens += 1;
  }

  /** What may be delivered and has not been. */
  take(options: { readonly finished: boolean }): string {
    const end = options.finished ? this.#text.length : this.#beforeHeldBack();
    if (end <= this.#delivered) return '';
    const fresh = this.#text.slice(this.#delivered, end);
    this.#delivered = end;
    return fresh;
  }

  #decodeNext(id: number): string {
    const { skipSpecial } = this.#rules;
    if (this.#prefix === '' && this.#window.length > 0) {
      const text = decode(this.#window, { skipSpecial });
      if (!text.endsWith(replacement)) {
        this.#prefix = text;
        this.#known = this.#window.length;
      }
    }
    this.#window.push(id);
    const text = decode(this.#window, { skipSpecial });
    if (text.length <= this.#prefix.length || text.endsWith(replacement)) return '';
    const added = text.slice(this.#prefix.length);
    this.#window = this.#window.slice(this.#known);
    this.#prefix = decode(this.#window, { skipSpecial });
    this.#known = this.#window.length;
    return added;
  }

  #cutAtStop(addedLength: number): string | null {
    for (const stop of this.#rules.stop) {
      const from = Math.max(0, this.#text.length - addedLength - stop.length + 1);
      const at = this.#text.indexOf(stop, from);
      if (at === -1) continue;
      this.#text = this.#text.slice(0, this.#rules.includeStop ? at + stop.length : at);
      return stop;
    }
    return null;
  }

  /** Counts characters, not UTF-16 units: an emoji is never delivered in halves. */
  #beforeHeldBack(): number {
    const { stop, includeStop } = this.#rules;
    if (stop.length === 0 || includeStop) return this.#text.length;
    let held = Math.max(...stop.map((text) => [...text].length)) - 1;
    let end = this.#text.length;
    for (; held > 0 && end > this.#delivered; held--) {
      end -= /[\uDC00-\uDFFF]/.test(this.#text[end - 1]!) && end >= 2 ? 2 : 1;
    }
    return Math.max(end, this.#delivered);
  }
}
