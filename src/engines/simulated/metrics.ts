/**
 * `/metrics`, under the names that a router or a supervisor reads on a real vLLM. Everything here is what the API
 * server knows from the engine's messages, so that a frozen engine shows frozen counters.
 */
import type { Choice, ChoiceRequest } from './generation.ts';
import { Histogram, buckets, counter, gauge, type Family } from './exposition.ts';
import { blockTokens, blocksMax } from './prefix-cache.ts';
import type { FinishReason, Load } from './scheduler.ts';

type Sequence = {
  readonly promptTokens: number;
  readonly beganMs: number;
  admittedMs: number;
  firstTokenMs: number;
  lastTokenMs: number;
};

/** 0: awake. 1: weights offloaded. 2: all discarded. */
type SleepLevel = 0 | 1 | 2;

export class Metrics {
  readonly #labels: Readonly<Record<string, string>>;
  readonly #sequences = new Map<number, Sequence>();
  #load: Load = { running: 0, waiting: 0, tokensHeld: 0 };
  readonly #totals = { prompt: 0, generation: 0, cached: 0, queried: 0 };
  readonly #successes: Record<FinishReason, number> = { stop: 0, length: 0, abort: 0 };
  readonly #http = new Map<string, number>();
  readonly #histograms = {
    request_prompt_tokens: new Histogram(buckets.tokens),
    request_generation_tokens: new Histogram(buckets.tokens),
    iteration_tokens_total: new Histogram(buckets.batch),
    request_max_num_generation_tokens: new Histogram(buckets.tokens),
    request_params_n: new Histogram(buckets.few),
    request_params_max_tokens: new Histogram(buckets.tokens),
    time_to_first_token_seconds: new Histogram(buckets.firstToken),
    inter_token_latency_seconds: new Histogram(buckets.interToken),
    request_time_per_output_token_seconds: new Histogram(buckets.interToken),
    e2e_request_latency_seconds: new Histogram(buckets.request),
    request_queue_time_seconds: new Histogram(buckets.request),
    request_inference_time_seconds: new Histogram(buckets.request),
    request_prefill_time_seconds: new Histogram(buckets.request),
    request_decode_time_seconds: new Histogram(buckets.request),
    request_num_preemptions: new Histogram(buckets.preemptions),
    request_prefill_kv_computed_tokens: new Histogram(buckets.tokens),
  };
  #rejected = 0;
  sleepLevel: SleepLevel = 0;

  constructor(modelName: string) {
    this.#labels = { engine: '0', model_name: modelName };
  }

  loaded(load: Load): void {
    this.#load = load;
  }

  rejected(): void {
    this.#rejected += 1;
  }

  began(sequenceId: number, request: ChoiceRequest): void {
    const beganMs = performance.now();
    this.#sequences.set(sequenceId, {
      promptTokens: request.promptIds.length,
      beganMs,
      admittedMs: beganMs,
      firstTokenMs: 0,
      lastTokenMs: 0,
    });
  }

  admitted({ sequenceId, cachedTokens }: Choice, nowMs: number): void {
    const sequence = this.#sequences.get(sequenceId);
    if (sequence === undefined) return;
    sequence.admittedMs = nowMs;
    this.#totals.queried += sequence.promptTokens;
    this.#totals.cached += cachedTokens;
  }

  token(sequenceId: number, nowMs: number): void {
    this.#totals.generation += 1;
    const sequence = this.#sequences.get(sequenceId);
    if (sequence === undefined) return;
    if (sequence.firstTokenMs === 0) {
      sequence.firstTokenMs = nowMs;
      this.#totals.prompt += sequence.promptTokens;
      this.#histograms.time_to_first_token_seconds.add((nowMs - sequence.beganMs) / 1000);
    } else {
      this.#histograms.inter_token_latency_seconds.add((nowMs - sequence.lastTokenMs) / 1000);
    }
    sequence.lastTokenMs = nowMs;
  }

  stepped(tokens: number): void {
    this.#histograms.iteration_tokens_total.add(tokens);
  }

  ended(choice: Choice): void {
    const sequence = this.#sequences.get(choice.sequenceId);
    const reason = choice.finishReason;
    if (sequence === undefined || reason === null) return;
    this.#successes[reason] += 1;
    const nowMs = performance.now();
    const firstMs = sequence.firstTokenMs === 0 ? nowMs : sequence.firstTokenMs;
    const { sampling, maxTokens } = choice.request;
    const h = this.#histograms;
    h.request_prompt_tokens.add(sequence.promptTokens);
    h.request_generation_tokens.add(choice.tokens);
    h.request_max_num_generation_tokens.add(choice.tokens);
    h.request_params_n.add(sampling.n);
    h.request_params_max_tokens.add(maxTokens);
    h.request_time_per_output_token_seconds.add((nowMs - firstMs) / 1000 / Math.max(1, choice.tokens - 1));
    h.e2e_request_latency_seconds.add((nowMs - sequence.beganMs) / 1000);
    h.request_queue_time_seconds.add((sequence.admittedMs - sequence.beganMs) / 1000);
    h.request_inference_time_seconds.add((nowMs - sequence.admittedMs) / 1000);
    h.request_prefill_time_seconds.add((firstMs - sequence.admittedMs) / 1000);
    h.request_decode_time_seconds.add((nowMs - firstMs) / 1000);
    h.request_num_preemptions.add(0);
    h.request_prefill_kv_computed_tokens.add(sequence.promptTokens - choice.cachedTokens);
    this.#sequences.delete(choice.sequenceId);
  }

  /** Its client left: it counts nowhere, as in vLLM. */
  forgot(sequenceId: number): void {
    this.#sequences.delete(sequenceId);
  }

  answered(handler: string, method: string, status: number): void {
    const key = JSON.stringify({ handler, method, status: `${Math.floor(status / 100)}xx` });
    this.#http.set(key, (this.#http.get(key) ?? 0) + 1);
  }

  render(): string {
    return [...this.#gauges(), ...this.#counters(), ...this.#histogramFamilies(), ...httpFamilies(this.#http)]
      .map((family) => family.render())
      .join('');
  }

  #gauges(): readonly Family[] {
    const { running, waiting, tokensHeld } = this.#load;
    const one = (name: string, help: string, value: number): Family =>
      gauge(`vllm:${name}`, help).with(this.#labels, value);
    const level = this.sleepLevel;
    return [
      ...processFamilies(),
      one('num_requests_running', 'Number of requests in model execution batches.', running),
      one('num_requests_waiting', 'Number of requests waiting to be processed.', waiting),
      gauge('vllm:num_requests_waiting_by_reason', 'Number of waiting requests by reason.')
        .with({ ...this.#labels, reason: 'capacity' }, waiting)
        .with({ ...this.#labels, reason: 'deferred' }, 0),
      gauge('vllm:engine_sleep_state', 'Engine sleep state.')
        .with({ ...this.#labels, sleep_state: 'awake' }, level === 0 ? 1 : 0)
        .with({ ...this.#labels, sleep_state: 'weights_offloaded' }, level === 1 ? 1 : 0)
        .with({ ...this.#labels, sleep_state: 'discard_all' }, level === 2 ? 1 : 0),
      one(
        'kv_cache_usage_perc',
        'KV-cache usage. 1 means 100 percent usage.',
        tokensHeld / (blocksMax * blockTokens),
      ),
      gauge('vllm:cache_config_info', 'Information of the LLMEngine CacheConfig').with(
        {
          block_size: `${blockTokens}`,
          enable_prefix_caching: 'True',
          engine: '0',
          num_gpu_blocks: `${blocksMax}`,
        },
        1,
      ),
    ];
  }

  #counters(): readonly Family[] {
    const { prompt, generation, cached, queried } = this.#totals;
    const one = (name: string, help: string, value: number): Family =>
      counter(`vllm:${name}_total`, help).with(this.#labels, value);
    const by = (
      name: string,
      help: string,
      label: string,
      values: Readonly<Record<string, number>>,
    ): Family =>
      Object.entries(values).reduce(
        (family, [key, value]) => family.with({ ...this.#labels, [label]: key }, value),
        counter(`vllm:${name}_total`, help),
      );
    const computed = { local_compute: prompt - cached, local_cache_hit: cached, external_kv_transfer: 0 };
    const tiers = { device: cached, host: 0, p2p: 0, disk: 0, external_unspecified: 0 };
    return [
      one('estimated_flops_per_gpu', 'Estimated number of floating point operations per GPU.', 0),
      one('estimated_read_bytes_per_gpu', 'Estimated number of bytes read from memory per GPU.', 0),
      one('estimated_write_bytes_per_gpu', 'Estimated number of bytes written to memory per GPU.', 0),
      one('prefix_cache_queries', 'Prefix cache queries, in terms of number of queried tokens.', queried),
      one('prefix_cache_hits', 'Prefix cache hits, in terms of number of cached tokens.', cached),
      one('external_prefix_cache_queries', 'External prefix cache queries, in tokens.', 0),
      one('external_prefix_cache_hits', 'External prefix cache hits, in tokens.', 0),
      one('mm_cache_queries', 'Multi-modal cache queries.', 0),
      one('mm_cache_hits', 'Multi-modal cache hits.', 0),
      one('num_preemptions', 'Cumulative number of preemption from the engine.', 0),
      one('prompt_tokens', 'Number of prefill tokens processed.', prompt),
      by('prompt_tokens_by_source', 'Number of prompt tokens by source.', 'source', computed),
      one('prompt_tokens_cached', 'Number of cached prompt tokens (local + external).', cached),
      by('prompt_tokens_cached_by_source', 'Prefix-cache hit tokens by tier.', 'source', tiers),
      one('generation_tokens', 'Number of generation tokens processed.', generation),
      by('request_success', 'Count of successfully processed requests.', 'finished_reason', {
        ...this.#successes,
        error: 0,
        repetition: 0,
      }),
      counter('vllm:admission_rejections_total', 'Number of admission attempts rejected by a queue limit.')
        .with({ model_name: this.#labels['model_name']!, reason: 'max_num_queued_reqs' }, this.#rejected)
        .with({ model_name: this.#labels['model_name']!, reason: 'max_num_queued_tokens' }, 0),
    ];
  }

  #histogramFamilies(): readonly Family[] {
    return Object.entries(this.#histograms).map(([name, histogram]) =>
      histogram.family(`vllm:${name}`, `Histogram of ${name.replaceAll('_', ' ')}.`, this.#labels),
    );
  }
}

function processFamilies(): readonly Family[] {
  const { user, system } = process.cpuUsage();
  return [
    gauge('process_resident_memory_bytes', 'Resident memory size in bytes.').with(
      {},
      process.memoryUsage.rss(),
    ),
    counter('process_cpu_seconds_total', 'Total user and system CPU time spent in seconds.').with(
      {},
      (user + system) / 1e6,
    ),
  ];
}

const httpFamilies = (answers: ReadonlyMap<string, number>): readonly Family[] => [
  [...answers].reduce(
    (family, [key, count]) => family.with(JSON.parse(key) as Record<string, string>, count),
    counter('http_requests_total', 'Total number of requests by method, status and handler.'),
  ),
];
