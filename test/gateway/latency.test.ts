/** How soon, how fast and with which stalls clients were answered, as the node where they entered tells who scrapes it. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { EngineProcess } from '../engines/simulated/engine-process.ts';
import { FakeCluster, until, type FakeNode } from './fake-cluster.ts';

let engines: readonly EngineProcess[] = [];
let cluster: FakeCluster;
let entry: FakeNode;
let serving: FakeNode;

before(async () => {
  engines = [0, 1].map(() => new EngineProcess(['simulated', '--token-ms', '12']));
  await Promise.all(engines.map((engine) => engine.ready()));
  cluster = await FakeCluster.of(2, { model: 'simulated', sockets: engines.map(({ socket }) => socket) });
  [entry, serving] = [cluster.get(0), cluster.get(1)];
  for (const { id } of cluster.nodes)
    entry.heard.set(id, { running: id === serving.id ? 0 : 50, waiting: 0 });
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
  await Promise.all(engines.map((engine) => engine[Symbol.asyncDispose]()));
});

const tokens = 60;

const post = (rest: Record<string, unknown>): Promise<Response> =>
  fetch(`${entry.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      ...{ model: 'simulated', messages: [{ role: 'user', content: 'hello' }], temperature: 0 },
      ...{ max_tokens: tokens, ignore_eos: true, stream: true, ...rest },
    }),
  });

/** What it tells by now, by series. */
async function scraped(): Promise<(series: string) => number> {
  const text = await (await fetch(`${entry.url}/metrics`)).text();
  const values = new Map([...text.matchAll(/^(\S+) (\S+)$/gm)].map(([, series, value]) => [series, value]));
  return (series) => Number(values.get(series) ?? NaN);
}

const ofModel = (name: string): string => `synkti_${name}{model="simulated"}`;
const requests = (part: 'count' | 'sum'): string =>
  `synkti_request_duration_seconds_${part}{route="/v1/chat/completions"}`;
const stalls = (part: 'count' | 'sum'): string => `synkti_move_stall_seconds_${part}{cause="drain"}`;
const answered = (count: number): Promise<void> =>
  until(() => entry.named('request.answered').length === count, `${count} are answered`);

test('a scrape tells of every stream its first event and its pace, and of every request how long it took', async () => {
  const fresh = await scraped();
  deepEqual([ofModel('time_to_first_token_seconds_count'), requests('count')].map(fresh), [0, 0]);
  await (await post({})).text();
  await (await post({ stream: false })).text();
  await answered(3);
  const told = await scraped();
  const [first, each] = ['time_to_first_token_seconds', 'time_per_output_token_seconds'] as const;
  deepEqual(
    [ofModel(`${first}_count`), ofModel(`${each}_count`), ofModel('admission_wait_seconds_count')].map(told),
    [1, 1, 2],
  );
  equal(told(requests('count')), 2);
  const [firstSum, eachSum] = [told(ofModel(`${first}_sum`)), told(ofModel(`${each}_sum`))];
  ok(firstSum > 0 && eachSum > 0, `${firstSum} ${eachSum}`);
  ok(firstSum + (tokens - 1) * eachSum <= told(requests('sum')), 'parts of the whole');
});

test('a model that a client invented is in no label', async () => {
  const refused = await post({ model: 'invented' });
  deepEqual([refused.status, (await refused.text()).includes('invented')], [404, true]);
  const text = await (await fetch(`${entry.url}/metrics`)).text();
  equal(text.includes('invented'), false);
});

test('a scrape tells how long a stream stood still that moved, and of one that had not begun only its first event', async () => {
  const before = await scraped();
  const moving = await post({ max_tokens: 150 });
  for await (const _ of moving.body!) if (serving.standing === 'ready') cluster.drain(serving);
  const moved = await scraped();
  equal(moved(stalls('count')) - before(stalls('count')), 1);
  ok(moved(stalls('sum')) > 0);

  serving.standing = 'ready';
  process.kill(-engines[1]!.pid, 'SIGSTOP');
  const unbegun = post({});
  await until(() => serving.generating === 1, 'it is asked');
  cluster.drain(serving);
  await (await unbegun).text();
  equal(entry.named('stream.moved').length, 2);
  const after = await scraped();
  equal(after(stalls('count')), moved(stalls('count')));
  const first = ofModel('time_to_first_token_seconds_count');
  equal(after(first) - before(first), 2);
});
