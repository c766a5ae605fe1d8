/** What is to happen when, in virtual time: a binary heap; what falls on one instant happens in the order it was set. */
type Entry = { readonly at: number; readonly order: number; readonly run: () => void };

export class Agenda {
  now = 0;
  #set = 0;
  readonly #heap: Entry[] = [];

  at(at: number, run: () => void): void {
    this.#heap.push({ at: Math.max(at, this.now), order: this.#set++, run });
    let place = this.#heap.length - 1;
    while (place > 0 && this.#isBefore(place, (place - 1) >> 1)) place = this.#swap(place, (place - 1) >> 1);
  }

  after(ms: number, run: () => void): void {
    this.at(this.now + ms, run);
  }

  run(ms: number): void {
    const end = this.now + ms;
    for (let next = this.#heap[0]; next !== undefined && next.at <= end; next = this.#heap[0]) {
      this.#pop();
      this.now = next.at;
      next.run();
    }
    this.now = end;
  }

  #pop(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    for (let place = 0; ;) {
      let least = place;
      for (const child of [2 * place + 1, 2 * place + 2]) {
        if (child < this.#heap.length && this.#isBefore(child, least)) least = child;
      }
      if (least === place) return;
      place = this.#swap(place, least);
    }
  }

  #isBefore(one: number, other: number): boolean {
    const [a, b] = [this.#heap[one] as Entry, this.#heap[other] as Entry];
    return a.at < b.at || (a.at === b.at && a.order < b.order);
  }

  #swap(one: number, other: number): number {
    const [a, b] = [this.#heap[one] as Entry, this.#heap[other] as Entry];
    this.#heap[one] = b;
    this.#heap[other] = a;
    return other;
  }
}
