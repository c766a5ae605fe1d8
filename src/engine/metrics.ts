/**
 * Reads vLLM's Prometheus text (exposition format 0.0.4): what a router and a supervisor need, added up over every
 * line of a name. One line a name is not enough: an engine with data-parallel ranks has a line for each rank, and one
 * with several served names a line for each name.
 *
 * It fails closed: text in which one of the needed names is missing or no number is not a reading at all, because
 * "no requests" read off a broken page would let a drain end with requests in flight.
 */

/** vLLM's whole page is 51 KB; a page this much larger is not one. Characters. */
const textMax = 4_000_000;
/** LoRA adapters show up as models; further ones are counted in the totals and not by name. */
const modelsMax = 64;

type Requests = { readonly running: number; readonly waiting: number };

export type EngineMetrics = Requests & {
  readonly byModel: ReadonlyMap<string, Requests>;
  /** Largest share of KV cache in use of any rank, 0 to 1; null when it is not told. */
  readonly kvUsage: number | null;
  readonly promptTokens: number;
  readonly generationTokens: number;
};

const running = 'vllm:num_requests_running';
const waiting = 'vllm:num_requests_waiting';
const promptTokens = 'vllm:prompt_tokens_total';
const generationTokens = 'vllm:generation_tokens_total';
const kvUsage = 'vllm:kv_cache_usage_perc';
const wanted: ReadonlySet<string> = new Set([running, waiting, promptTokens, generationTokens, kvUsage]);

type Sample = { readonly name: string; readonly model: string; readonly value: number };

/** null: not a reading, so nothing is known of the engine. */
export function parseMetrics(text: string): EngineMetrics | null {
  if (text.length > textMax) return null;
  const samples = text.split('\n').flatMap(sampleFromLine);
  const total = (name: string): number => sum(samples.filter((sample) => sample.name === name));
  const reading = {
    running: total(running),
    waiting: total(waiting),
    promptTokens: total(promptTokens),
    generationTokens: total(generationTokens),
  };
  if (!Object.values(reading).every(Number.isFinite)) return null;
  const usages = samples.filter((sample) => sample.name === kvUsage).map((sample) => sample.value);
  const usage = usages.length > 0 ? Math.max(...usages) : Number.NaN;
  return { ...reading, kvUsage: Number.isFinite(usage) ? usage : null, byModel: byModel(samples) };
}

/** NaN for none: a name that is missing makes the reading invalid. */
const sum = (samples: readonly Sample[]): number =>
  samples.length === 0 ? Number.NaN : samples.reduce((total, sample) => total + sample.value, 0);

function byModel(samples: readonly Sample[]): ReadonlyMap<string, Requests> {
  const models = new Map<string, Requests>();
  for (const { name, model, value } of samples) {
    if (name !== running && name !== waiting) continue;
    const known = models.get(model) ?? { running: 0, waiting: 0 };
    if (!models.has(model) && models.size >= modelsMax) continue;
    const [more, queued] = name === running ? [value, 0] : [0, value];
    models.set(model, { running: known.running + more, waiting: known.waiting + queued });
  }
  return models;
}

/** `name{label="value",…} value [timestamp]`; nothing for comments and for every name that is not wanted. */
function sampleFromLine(line: string): Sample[] {
  const nameEnd = line.search(/[{\s]/);
  const name = line.slice(0, nameEnd);
  if (nameEnd < 0 || !wanted.has(name)) return [];
  const labelsEnd = line[nameEnd] === '{' ? closingBrace(line, nameEnd) : nameEnd - 1;
  if (labelsEnd < 0) return [{ name, model: '', value: Number.NaN }];
  const [value = ''] = line
    .slice(labelsEnd + 1)
    .trim()
    .split(/\s+/);
  const model = /[{,]model_name="((?:[^"\\]|\\.)*)"/.exec(line.slice(nameEnd, labelsEnd + 1))?.[1] ?? '';
  return [{ name, model: unescape(model), value: count(value) }];
}

/** NaN for what is no number, and for a negative one: it would take away from what other lines count. */
function count(text: string): number {
  const value = text === '' ? Number.NaN : Number(text);
  return value >= 0 ? value : Number.NaN;
}

/** The brace that ends the labels: label values may hold braces, and quotes behind a backslash. -1: there is none. */
function closingBrace(line: string, open: number): number {
  const labels = /^\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}/.exec(line.slice(open));
  return labels === null ? -1 : open + labels[0].length - 1;
}

const unescape = (label: string): string =>
  label.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
