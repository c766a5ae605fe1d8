import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { parseMetrics } from '../../src/engine/metrics.ts';

const page = (...lines: readonly string[]): string =>
  [
    '# HELP vllm:num_requests_running Number of requests in model execution batches.',
    '# TYPE vllm:num_requests_running gauge',
    ...lines,
    '',
  ].join('\n');

const whole = [
  'vllm:num_requests_running{engine="0",model_name="tiny"} 27.0',
  'vllm:num_requests_waiting{engine="0",model_name="tiny"} 69.0',
  'vllm:num_requests_waiting_by_reason{engine="0",model_name="tiny",reason="capacity"} 69.0',
  'vllm:kv_cache_usage_perc{engine="0",model_name="tiny"} 0.0065',
  'vllm:prompt_tokens_total{engine="0",model_name="tiny"} 4049.0',
  'vllm:prompt_tokens_by_source_total{engine="0",model_name="tiny",source="local_compute"} 4049.0',
  'vllm:generation_tokens_total{engine="0",model_name="tiny"} 1.5e+06',
];
const without = (name: string) => whole.filter((line) => !line.startsWith(`${name}{`));

test('[E12] a page as vLLM writes it', () => {
  deepEqual(parseMetrics(page(...whole)), {
    running: 27,
    waiting: 69,
    kvUsage: 0.0065,
    promptTokens: 4_049,
    generationTokens: 1_500_000,
    byModel: new Map([['tiny', { running: 27, waiting: 69 }]]),
  });
});

test('[E12] ranks and models are added up; of the KV usage the fullest rank counts', () => {
  const read = parseMetrics(
    page(
      ...whole,
      'vllm:num_requests_running{engine="1",model_name="tiny"} 3',
      'vllm:num_requests_running{engine="1",model_name="other"} 2',
      'vllm:num_requests_waiting{engine="1",model_name="other"} 1',
      'vllm:kv_cache_usage_perc{engine="1",model_name="tiny"} 0.9',
      'vllm:generation_tokens_total{engine="1",model_name="tiny"} 1',
    ),
  );
  equal(read?.running, 32);
  equal(read?.waiting, 70);
  equal(read?.kvUsage, 0.9);
  equal(read?.generationTokens, 1_500_001);
  deepEqual(read?.byModel.get('tiny'), { running: 30, waiting: 69 });
  deepEqual(read?.byModel.get('other'), { running: 2, waiting: 1 });
});

test('[E12] without a needed name, or with one that is no number, nothing is read', () => {
  for (const name of [
    'vllm:num_requests_running',
    'vllm:num_requests_waiting',
    'vllm:prompt_tokens_total',
    'vllm:generation_tokens_total',
  ]) {
    equal(parseMetrics(page(...without(name))), null, `without ${name}`);
    for (const value of ['NaN', '-1', '+Inf', 'many', '']) {
      const line = `${name}{engine="1",model_name="tiny"} ${value}`;
      equal(parseMetrics(page(...whole, line)), null, `${name} ${value}`);
    }
  }
  for (const text of [
    '',
    '{"detail":"Not Found"}',
    '<html></html>',
    whole[0]!.slice(0, 40),
    'x'.repeat(5_000_000),
  ])
    equal(parseMetrics(text), null);
});

test('[E12] a KV usage that is missing or no number is unknown; the rest is still read', () => {
  equal(parseMetrics(page(...without('vllm:kv_cache_usage_perc')))?.kvUsage, null);
  equal(parseMetrics(page(...whole, 'vllm:kv_cache_usage_perc{engine="1"} NaN'))?.kvUsage, null);
});

test('[E12] label values may hold braces, quotes, commas and spaces; time stamps and carriage returns are let be', () => {
  const name = String.raw`vllm:num_requests_running{engine="1",model_name="a \"b\", c} d\\e"} 4 1700000000000`;
  const read = parseMetrics(page(...whole, `${name}\r`));
  deepEqual(read?.byModel.get('a "b", c} d\\e'), { running: 4, waiting: 0 });
  equal(read?.running, 31);
});

test('models beyond the bound are counted in the totals only', () => {
  const lines = Array.from({ length: 200 }, (_, i) => `vllm:num_requests_running{model_name="m${i}"} 1`);
  const read = parseMetrics(page(...whole, ...lines));
  equal(read?.running, 227);
  equal(read?.byModel.size, 64);
});
