/**
 * B4: only the first line of a metric was read, so an engine with several ranks or models looked idle when its first
 * one was; and an engine that could not be asked counted as idle.
 */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { parseMetrics } from '../../src/engine/metrics.ts';
import { isIdle } from '../../src/engine/stage.ts';
import { obliging, serving } from '../engine/world.ts';

const page = (running: readonly string[]): string =>
  [
    ...running,
    'vllm:num_requests_waiting{engine="0",model_name="a"} 0.0',
    'vllm:num_requests_waiting{engine="1",model_name="b"} 4.0',
    'vllm:prompt_tokens_total{engine="0",model_name="a"} 10.0',
    'vllm:generation_tokens_total{engine="0",model_name="a"} 1.0',
    'vllm:generation_tokens_total{engine="1",model_name="b"} 2.0',
  ].join('\n');

const ranks = [
  'vllm:num_requests_running{engine="0",model_name="a"} 0.0',
  'vllm:num_requests_running{engine="1",model_name="a"} 3.0',
  'vllm:num_requests_running{engine="1",model_name="b"} 2.0',
];

test('[B4] every line of a metric counts, whichever comes first', () => {
  for (const order of [ranks, [...ranks].reverse()]) {
    const read = parseMetrics(page(order));
    deepEqual([read?.running, read?.waiting, read?.generationTokens], [5, 4, 3]);
    deepEqual(read?.byModel.get('a'), { running: 3, waiting: 0 });
    deepEqual(read?.byModel.get('b'), { running: 2, waiting: 4 });
  }
});

test('[B4] an engine whose first rank is idle and whose second is not is not idle', () => {
  const world = serving();
  const metrics = parseMetrics(page(ranks))!;
  world.answer = (order) =>
    order.type === 'sample' ? { type: 'sampled', life: order.life, metrics } : obliging(order);
  world.run(2_000);
  equal(isIdle(world.status()), false);
});

test('[B4] tokens of any rank show that the engine lives', () => {
  const world = serving({ wedgedMs: 60_000 });
  let second = 0;
  world.answer = (order) => {
    if (order.type !== 'sample') return obliging(order);
    second += 1;
    const text = `${page(ranks)}\nvllm:generation_tokens_total{engine="2",model_name="b"} ${second}`;
    return { type: 'sampled', life: order.life, metrics: parseMetrics(text)! };
  };
  world.run(300_000);
  deepEqual(world.times('kill'), []);
});

test('[B4] an engine that cannot be asked, or answers half a page, is not idle', () => {
  for (const text of ['', page([]), page([...ranks, 'vllm:num_requests_running{engine="2"} NaN'])]) {
    equal(parseMetrics(text), null);
  }
  const world = serving();
  world.run(2_000);
  world.answer = (order) =>
    order.type === 'sample' ? { type: 'sample.failed', life: order.life, cause: 'refused' } : obliging(order);
  world.run(2_000);
  equal(isIdle(world.status()), false);
});
