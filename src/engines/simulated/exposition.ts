/** Prometheus' text form: families of samples, and histograms with the buckets that vLLM has. */
type Labels = Readonly<Record<string, string>>;

export class Family {
  readonly #name: string;
  readonly #head: string;
  readonly #samples: string[] = [];

  constructor(name: string, kind: string, help: string) {
    this.#name = name;
    this.#head = `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n`;
  }

  with(labels: Labels, value: number, suffix = ''): this {
    const pairs = Object.keys(labels)
      .sort()
      .map((key) => `${key}="${escape(labels[key]!)}"`);
    const braces = pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
    this.#samples.push(`${this.#name}${suffix}${braces} ${float(value)}\n`);
    return this;
  }

  render(): string {
    return this.#head + this.#samples.join('');
  }
}

export const gauge = (name: string, help: string): Family => new Family(name, 'gauge', help);
export const counter = (name: string, help: string): Family => new Family(name, 'counter', help);

const seconds = [
  0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
];
export const buckets = {
  tokens: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000],
  batch: [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384],
  few: [1, 2, 5, 10, 20],
  preemptions: [1, 2, 3, 4, 5, 10, 20],
  firstToken: [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160,
    640, 2560,
  ],
  interToken: [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80],
  request: seconds,
} as const;

export class Histogram {
  readonly #bounds: readonly number[];
  /** Observations at or below each bound and above the one before; the last is above all. */
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  add(value: number): void {
    let i = 0;
    while (i < this.#bounds.length && value > this.#bounds[i]!) i++;
    this.#counts[i]! += 1;
    this.#sum += value;
  }

  family(name: string, help: string, labels: Labels): Family {
    const family = new Family(name, 'histogram', help);
    let total = 0;
    this.#counts.forEach((count, i) => {
      total += count;
      const bound = this.#bounds[i];
      family.with({ ...labels, le: bound === undefined ? '+Inf' : float(bound) }, total, '_bucket');
    });
    return family.with(labels, total, '_count').with(labels, this.#sum, '_sum');
  }
}

/** As Python writes floats: 5 is `5.0`. */
const float = (value: number): string => (Number.isInteger(value) ? value.toFixed(1) : String(value));

const escape = (text: string): string =>
  text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
