/** The limits of a key over several nodes that hear of each other twice a second, under virtual time. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import {
  admit,
  hear,
  noRates,
  settle,
  tell,
  type Limited,
  type Rates,
  type Use,
} from '../../src/admission/rates.ts';
import { draw, type Rng } from '../../src/std/random.ts';
import { instant } from '../../src/std/time.ts';

const tellMs = 250;
const stepMs = 10;
const minuteMs = 60_000;

type Traffic = {
  readonly limits: Limited['limits'];
  /** Requests a second that come to each node, at each moment. */
  readonly rate: (node: number, seconds: number) => number;
  readonly nodes: number;
  readonly minutes: number;
  /** A word in so many is lost; 0: none. */
  readonly lossOneIn: number;
};

type Admitted = { readonly atMs: number; readonly node: number; readonly tokens: number };

const estimate = 300;

/** Answers take a second and between 100 and 500 tokens, where 300 were taken for granted. */
function run({ limits, rate, nodes, minutes, lossOneIn }: Traffic): readonly Admitted[] {
  const key: Limited = { name: 'alice', limits };
  const all = Array.from({ length: nodes }, (_, i) => ({ id: `n${i}`, rates: noRates(), due: 0 }));
  const admitted: Admitted[] = [];
  const owed: { readonly atMs: number; readonly rates: Rates; readonly tokens: number }[] = [];
  let rng: Rng = { seed: 11 };
  const dice = (bound: number): number => {
    const [value, next] = draw(rng, bound);
    rng = next;
    return value;
  };
  for (let ms = 0; ms < minutes * minuteMs; ms += stepMs) {
    const now = instant(ms);
    while (owed[0] !== undefined && owed[0].atMs <= ms) {
      const { rates, tokens } = owed.shift()!;
      settle(rates, { key, tokens, estimate: { tokens: estimate, at: instant(ms - 1_000) } }, now);
    }
    for (const [i, node] of all.entries()) {
      // Nodes do not speak in chorus, and what they say arrives a moment later.
      if (ms % tellMs === (i * 30) % tellMs) {
        const uses = tell(node.rates, nodes, now);
        for (const other of all)
          if (other !== node && (lossOneIn === 0 || dice(lossOneIn) > 0))
            listen(other.rates, node.id, uses, ms);
      }
      node.due += (rate(i, ms / 1_000) * stepMs) / 1_000;
      for (; node.due >= 1; node.due--) {
        if (admit(node.rates, { key, tokens: estimate }, now).type !== 'admitted') continue;
        const tokens = 100 + dice(401);
        admitted.push({ atMs: ms, node: i, tokens });
        owed.push({ atMs: ms + 1_000, rates: node.rates, tokens });
      }
    }
  }
  return admitted;
}

const listen = (rates: Rates, by: string, uses: readonly Use[], ms: number): void =>
  hear(rates, { by, uses }, instant(ms + 5));

/** The most and the least in any minute that began after the first one, by seconds. */
function extremes(
  admitted: readonly Admitted[],
  minutes: number,
  of: (one: Admitted) => number,
): [number, number] {
  const sums: number[] = [];
  for (let from = 0; from <= (minutes - 1) * minuteMs; from += 1_000) {
    const within = admitted.filter(({ atMs }) => atMs >= from && atMs < from + minuteMs);
    sums.push(within.reduce((sum, one) => sum + of(one), 0));
  }
  return [Math.min(...sums), Math.max(...sums)];
}

const unlimited = { requestsPerMinute: null, tokensPerMinute: null };
const one = (): number => 1;

const shapes: Readonly<Record<string, (node: number, seconds: number) => number>> = {
  'all at one node': (node) => (node === 0 ? 40 : 0),
  'alike at all': () => 5,
  'most at one, some at two': (node) => [30, 3, 1][node] ?? 0,
  'at another node every seven seconds': (node, seconds) => (node === Math.floor(seconds / 7) % 8 ? 40 : 0),
  'a flood out of nothing, everywhere at once': (_, seconds) => (seconds % 90 >= 30 ? 200 : 0.1),
  'in bursts, everywhere at once': (_, seconds) => (seconds % 20 < 2 ? 60 : 0.5),
};

for (const [shape, rate] of Object.entries(shapes)) {
  test(`[A1] requests: ${shape}, never more than a tenth above the limit, nor below it`, () => {
    const traffic = {
      limits: { ...unlimited, requestsPerMinute: 600 },
      rate,
      nodes: 8,
      minutes: 4,
      lossOneIn: 0,
    };
    const [least, most] = extremes(run(traffic), 4, one);
    ok(most <= 660, `${most} in a minute`);
    // A flood that begins after a minute of little leaves that minute as it was.
    if (!shape.startsWith('a flood')) ok(least >= 540, `only ${least} in a minute`);
  });
}

test('[A1] tokens: the same, although nobody knows beforehand how long an answer gets', () => {
  for (const rate of [shapes['all at one node']!, shapes['alike at all']!]) {
    const limits = { ...unlimited, tokensPerMinute: 120_000 };
    const [least, most] = extremes(
      run({ limits, rate, nodes: 8, minutes: 3, lossOneIn: 0 }),
      3,
      ({ tokens }) => tokens,
    );
    ok(most <= 132_000, `${most} in a minute`);
    ok(least >= 108_000, `only ${least} in a minute`);
  }
});

test('[A1] a tenth of the words lost changes little', () => {
  const rate = shapes['most at one, some at two']!;
  const limits = { ...unlimited, requestsPerMinute: 600 };
  const [least, most] = extremes(run({ limits, rate, nodes: 8, minutes: 3, lossOneIn: 10 }), 3, one);
  ok(most <= 660 && least >= 540, `${least} to ${most}`);
});

test('[A2] whoever comes to a node that had nothing to do is let in while anything is left', () => {
  const rates = Array.from({ length: 8 }, noRates);
  const key: Limited = { name: 'alice', limits: { ...unlimited, requestsPerMinute: 10 } };
  for (const each of rates) tell(each, 8, instant(0));
  equal(admit(rates[3]!, { key, tokens: 1 }, instant(1)).type, 'admitted');
  // The second one waits until the others know of the first.
  equal(admit(rates[3]!, { key, tokens: 1 }, instant(2)).type, 'limited');
  tell(rates[3]!, 8, instant(500));
  equal(admit(rates[3]!, { key, tokens: 1 }, instant(501)).type, 'admitted');
});

test('[A2] a request that ends beyond the share of its node is let in while half of the limit is left', () => {
  const key: Limited = { name: 'alice', limits: { ...unlimited, tokensPerMinute: 200_000 } };
  const askTwice = (others: number): string[] => {
    const rates = noRates();
    tell(rates, 8, instant(0));
    hear(rates, { by: 'b', uses: [{ key: 'alice', requests: 1, tokens: others, demand: 0 }] }, instant(0));
    return [1, 2, 3].map((at) => admit(rates, { key, tokens: 7_000 }, instant(at)).type);
  };
  deepEqual(askTwice(0), ['admitted', 'admitted', 'limited']);
  deepEqual(askTwice(100_000), ['admitted', 'limited', 'limited']);
});

test('[A3] what a member told is forgotten in a minute', () => {
  const rates = noRates();
  const key: Limited = { name: 'alice', limits: { ...unlimited, requestsPerMinute: 100 } };
  const uses = [{ key: 'alice', requests: 100, tokens: 0, demand: 3 }];
  hear(rates, { by: 'b', uses }, instant(0));
  equal(admit(rates, { key, tokens: 1 }, instant(10)).type, 'limited');
  equal(admit(rates, { key, tokens: 1 }, instant(30_000)).type, 'admitted');
  hear(rates, { by: 'b', uses: [] }, instant(30_100));
  equal(admit(rates, { key, tokens: 1 }, instant(30_200)).type, 'admitted');
});

test('[A4] what was estimated too high is given back, too low taken', () => {
  const rates = noRates();
  const key: Limited = { name: 'alice', limits: { ...unlimited, tokensPerMinute: 1_000 } };
  equal(admit(rates, { key, tokens: 900 }, instant(0)).type, 'admitted');
  equal(admit(rates, { key, tokens: 900 }, instant(1)).type, 'limited');
  settle(rates, { key, tokens: 50, estimate: { tokens: 900, at: instant(0) } }, instant(2));
  equal(admit(rates, { key, tokens: 900 }, instant(3)).type, 'admitted');
  settle(rates, { key, tokens: 100, estimate: null }, instant(4));
  equal(admit(rates, { key, tokens: 1 }, instant(5)).type, 'limited');
});

test('[A1] an estimate is given back at the time when it was charged, and is no allowance later', () => {
  const rates = noRates();
  const key: Limited = { name: 'alice', limits: { ...unlimited, tokensPerMinute: 1_000 } };
  const use = (from: number): number => {
    let admitted = 0;
    for (let ms = from; ms < from + 50_000; ms += 100)
      if (admit(rates, { key, tokens: 10 }, instant(ms)).type === 'admitted') admitted += 10;
    return admitted;
  };
  equal(admit(rates, { key, tokens: 1_000 }, instant(0)).type, 'admitted');
  settle(rates, { key, tokens: 0, estimate: { tokens: 1_000, at: instant(0) } }, instant(50_000));
  equal(use(50_000), 1_000);
  settle(rates, { key, tokens: 0, estimate: { tokens: 1_000, at: instant(0) } }, instant(100_000));
  equal(
    admit(rates, { key, tokens: 10 }, instant(100_000)).type,
    'limited',
    'what is too old changes nothing',
  );
});

test('[A4] a request that is dearer than the limit is let in when nothing else is used', () => {
  const rates = noRates();
  const key: Limited = { name: 'alice', limits: { ...unlimited, tokensPerMinute: 1_000 } };
  equal(admit(rates, { key, tokens: 5_000 }, instant(0)).type, 'admitted');
  equal(admit(rates, { key, tokens: 1 }, instant(1)).type, 'limited');
  equal(admit(rates, { key, tokens: 1 }, instant(61_000)).type, 'admitted');
});

test('[A5] who is over the limit is told to come back when something of it is free again', () => {
  const rates = noRates();
  const key: Limited = { name: 'alice', limits: { requestsPerMinute: 2, tokensPerMinute: null } };
  for (const at of [0, 40_000]) admit(rates, { key, tokens: 1 }, instant(at));
  const verdict = admit(rates, { key, tokens: 1 }, instant(50_000));
  ok(verdict.type === 'limited' && verdict.what === 'requests');
  equal(verdict.retryAfterMs, 10_000);
  equal(admit(rates, { key, tokens: 1 }, instant(60_000)).type, 'admitted');
});

test('[A3] tokens that a member told count although none of the requests were let in there', () => {
  const rates = noRates();
  const key: Limited = { name: 'alice', limits: { ...unlimited, tokensPerMinute: 1_000 } };
  hear(rates, { by: 'b', uses: [{ key: 'alice', requests: 0, tokens: 1_000, demand: 0 }] }, instant(0));
  tell(rates, 2, instant(10));
  equal(admit(rates, { key, tokens: 300 }, instant(20)).type, 'limited');
  tell(rates, 2, instant(61_000));
  tell(rates, 2, instant(64_000));
  equal(rates.accounts.size, 0);
});

test('[A5] also where others have spent the limit, and each of them tells when some of it is free', () => {
  const [here, there] = [noRates(), noRates()];
  const key: Limited = { name: 'alice', limits: { requestsPerMinute: 1, tokensPerMinute: 100 } };
  admit(there, { key, tokens: 100 }, instant(10_000));
  hear(here, { by: 'there', uses: tell(there, 2, instant(20_000)) }, instant(20_000));
  const whenOf = (ms: number): number => {
    const verdict = admit(here, { key, tokens: 50 }, instant(ms));
    return verdict.type === 'limited' ? ms + verdict.retryAfterMs : 0;
  };
  deepEqual([whenOf(20_010), whenOf(30_000)], [70_000, 70_000]);
  hear(here, { by: 'older', uses: [{ key: 'alice', requests: 1, tokens: 1, demand: 0 }] }, instant(30_000));
  equal(whenOf(30_010), 70_000);
});

test('[A6] keys that nobody uses are forgotten, and no member can make us remember more than the bound', () => {
  const rates = noRates();
  const uses = Array.from({ length: 20_000 }, (_, i) => ({
    key: `k${i}`,
    requests: 1,
    tokens: 0,
    demand: 0,
  }));
  hear(rates, { by: 'b', uses }, instant(0));
  equal(rates.accounts.size, 10_000);
  tell(rates, 2, instant(61_000));
  equal(rates.accounts.size, 0);
});
