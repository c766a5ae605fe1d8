/**
 * One number for everything that happened: the order, time and place of every event, and now and then the state of the
 * nodes. Two runs of one seed that differ anywhere differ here. Two lanes of 32 bits, because it is fed millions of
 * times and has to resist accident, not attack.
 */
const clock = new Float64Array(1);
const clockWords = new Uint32Array(clock.buffer);

export class Digest {
  #a = 0x811c9dc5;
  #b = 0x9e3779b9;

  step(now: number, place: number, kind: number): void {
    clock[0] = now;
    this.#mix(clockWords[0]! ^ (clockWords[1]! * 31));
    this.#mix((place << 4) | kind);
  }

  text(text: string): void {
    for (let i = 0; i < text.length; i++) this.#mix(text.charCodeAt(i));
  }

  value(): string {
    return [this.#a, this.#b].map((lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('');
  }

  #mix(word: number): void {
    this.#a = Math.imul(this.#a ^ word, 0x01000193);
    this.#b = Math.imul((this.#b + word) ^ (this.#b >>> 15), 0x85ebca6b);
  }
}
