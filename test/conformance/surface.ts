/** Plain requests: what each route answers, and what is said to a request that is wrong. */
import { chat, completion, exchange, get, post, type Exchange, type Talk } from './exchange.ts';
import type { Json } from './shape.ts';
import type { Answer, Ask } from './talk.ts';
import { until } from './until.ts';

const tokens = (count: number): number[] => Array.from({ length: count }, () => 75);
const usage = (answer: Answer): Json =>
  (JSON.parse(answer.body) as { usage: { completion_tokens: number } }).usage;
const completionTokens = (answer: Answer): Json =>
  (usage(answer) as { completion_tokens: number }).completion_tokens;

export const surface: readonly Exchange[] = [
  exchange('get-health', get('/health')),
  exchange('get-ping', get('/ping')),
  exchange('get-version', get('/version')),
  exchange('get-load', get('/load')),
  exchange('get-models', get('/v1/models')),
  exchange('get-unknown-path', get('/nope')),
  exchange('get-where-post-belongs', get('/v1/completions')),
  exchange('tokenize-prompt', (t) => post('/tokenize', { model: t.model, prompt: 'hello the é 世' })),
  exchange('tokenize-chat', (t) =>
    post('/tokenize', { model: t.model, messages: [{ role: 'user', content: 'hi' }] }),
  ),
  exchange(
    'detokenize',
    (t) => post('/detokenize', { model: t.model, tokens: [74, 75] }),
    (answer) => ({
      prompt: (JSON.parse(answer.body) as { prompt: string }).prompt,
    }),
  ),

  exchange('completion', completion()),
  exchange('completion-with-ids', completion({ return_token_ids: true })),
  exchange('chat', chat()),
  exchange('chat-with-ids', chat({ return_token_ids: true })),
  exchange('chat-logprobs', chat({ logprobs: true, top_logprobs: 2 })),
  exchange('completion-logprobs', completion({ logprobs: 2 })),
  exchange('completion-n2', completion({ n: 2, temperature: 0.8, seed: 7 })),
  exchange('completion-default-max-tokens', completion({ max_tokens: undefined }), completionTokens),
  exchange('completion-without-model', completion({ model: undefined })),
  exchange('completion-unknown-field', completion({ frobnicate: 1 })),
  exchange('request-id-in-header', completion({}, { 'x-request-id': 'gateway-42' })),
  exchange('request-id-in-body', completion({ request_id: 'body-42' })),
  exchange(
    'prompt-and-answer-beyond-context',
    (t) => completion({ prompt: tokens(t.context - 96), max_tokens: 200 })(t),
    completionTokens,
  ),

  exchange('not-json', { ...post('/v1/completions', '{"prompt": nope') }),
  exchange('not-json-chat', post('/v1/chat/completions', 'not json')),
  exchange('wrong-content-type', (t) => withType(completion()(t), 'text/plain')),
  exchange('chat-without-messages', chat({ messages: undefined })),
  exchange('completion-without-prompt', completion({ prompt: undefined })),
  exchange('completion-empty-prompt', completion({ prompt: '' })),
  exchange('completion-empty-list', completion({ prompt: [] })),
  exchange('completion-prompts-of-two-kinds', completion({ prompt: ['hello', [75, 76]] })),
  exchange('unknown-model', completion({ model: 'nope' })),
  exchange('unknown-model-chat', chat({ model: 'nope' })),
  exchange('max-tokens-beyond-context', (t) => completion({ max_tokens: t.context + 1 })(t)),
  exchange('max-tokens-beyond-context-chat', (t) => chat({ max_tokens: t.context + 1 })(t)),
  exchange('max-tokens-0', completion({ max_tokens: 0 })),
  exchange('max-tokens-negative', completion({ max_tokens: -1 })),
  exchange('n-0', completion({ n: 0 })),
  exchange('temperature-negative', completion({ temperature: -1 })),
  exchange('temperature-no-number', completion({ temperature: 'hot' })),
  exchange('top-p-2', completion({ top_p: 2 })),
  exchange('logprobs-50', completion({ logprobs: 50 })),
  exchange('prompt-beyond-context', (t) => completion({ prompt: tokens(t.context + 100) })(t)),
  exchange('prompt-beyond-context-streamed', (t) =>
    completion({ prompt: 'x'.repeat(t.context * 8), stream: true })(t),
  ),
  exchange('prompt-fills-context', (t) => completion({ prompt: tokens(t.context) })(t)),
  exchange('token-out-of-vocabulary', completion({ prompt: [99_999] })),
  exchange('token-negative', completion({ prompt: [-3] })),
  exchange('stream-options-without-stream', completion({ stream_options: { include_usage: true } })),
  exchange(
    'tools-without-parser',
    chat({
      tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }],
      tool_choice: 'auto',
    }),
  ),

  exchange('scale-out-off-generate', post('/inference/v1/generate', { token_ids: [1], sampling_params: {} })),
  exchange('scale-out-off-render', (t) =>
    post('/v1/chat/completions/render', { model: t.model, messages: [] }),
  ),
  exchange('scale-out-off-abort', post('/inference/v1/abort_requests', { request_ids: ['x'] })),

  { name: 'metrics', engine: 'plain', play: metrics },
];

const withType = (ask: Ask, type: string): Ask => ({ ...ask, headers: { 'content-type': type } });

/** What a router or a supervisor reads; the other fifty are the engine's own business. */
const needed = [
  'num_requests_running',
  'num_requests_waiting',
  'num_requests_waiting_by_reason',
  'kv_cache_usage_perc',
  'prompt_tokens_total',
  'generation_tokens_total',
  'prefix_cache_queries_total',
  'prefix_cache_hits_total',
  'num_preemptions_total',
  'request_success_total',
  'time_to_first_token_seconds',
  'inter_token_latency_seconds',
  'e2e_request_latency_seconds',
];

/** Types and labels of the needed metrics, and that the counters count every token of one request. */
async function metrics(talk: Talk): Promise<Json> {
  const before = (await talk.ask(get('/metrics'))).body;
  const answer = await talk.ask(completion({ max_tokens: 8 })(talk));
  const { prompt_tokens: prompted } = (JSON.parse(answer.body) as { usage: { prompt_tokens: number } }).usage;
  let after = before;
  const grown = (name: string): number => valueOf(after, name) - valueOf(before, name);
  await until(async () => {
    after = (await talk.ask(get('/metrics'))).body;
    return grown('generation_tokens_total') >= 8;
  }, 10_000);
  return {
    metrics: Object.fromEntries(needed.map((name) => [name, describe(after, `vllm:${name}`)])),
    facts: {
      generationTokens: grown('generation_tokens_total'),
      promptTokensAreCounted: grown('prompt_tokens_total') === prompted,
      finishedAsLength: valueOf(after, 'request_success_total', 'length') > 0,
    },
  };
}

function describe(text: string, name: string): Json {
  const type = new RegExp(`^# TYPE ${name} (\\w+)$`, 'm').exec(text)?.[1] ?? 'missing';
  const labels = new RegExp(`^${name}(?:_bucket)?\\{(.*?)\\} `, 'm').exec(text)?.[1] ?? '';
  return { type, labels: [...labels.matchAll(/(\w+)="/g)].map(([, label]) => label ?? '').sort() };
}

const valueOf = (text: string, name: string, label = ''): number =>
  [...text.matchAll(new RegExp(`^vllm:${name}\\{.*${label}.*\\} (\\S+)$`, 'gm'))].reduce(
    (sum, [, value]) => sum + Number(value),
    0,
  );
