import { deepEqual, equal, notEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Blocks } from '../../src/routing/blocks.ts';
import * as routing from '../../src/routing/router.ts';
import type { Ready, Router } from '../../src/routing/router.ts';
import { memberId } from '../../src/std/member-id.ts';
import { draw, type Rng } from '../../src/std/random.ts';
import { instant } from '../../src/std/time.ts';

const eight = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];

const routerOf = (seed = 1): Router => routing.init('z', { seed });

const idle = (name: string, running = 0): Ready => ({
  member: memberId(name),
  zone: 'z',
  load: { running, waiting: 0 },
  ...{ unreported: 0, doubted: false },
});

type Ask = {
  readonly at?: number;
  readonly avoid?: readonly string[];
  readonly running?: Readonly<Record<string, number>>;
};

function place(router: Router, names: readonly string[], prompt: Blocks, ask: Ask = {}): string {
  const { at = 0, avoid = [], running = {} } = ask;
  const choice = routing.place(
    router,
    {
      model: 'm',
      standing: { ready: names.map((name) => idle(name, running[name])), starting: 0 },
      wish: { avoid: avoid.map(memberId), urgent: false },
      prompt,
    },
    instant(at),
  );
  return choice.type === 'chosen' ? choice.member : choice.why;
}

/** A conversation's blocks: the same for the same name, and longer with every turn. */
const conversation = (name: number, turns: number): Blocks =>
  Array.from({ length: 4 * turns }, (_, i) => name * 10_000 + i + 1);

const many = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i + 1);

function counted(places: readonly string[]): Record<string, number> {
  const count: Record<string, number> = {};
  for (const name of places) count[name] = (count[name] ?? 0) + 1;
  return count;
}

test('[R8] every entry node sends a prompt that it has never seen to the same member', () => {
  const entries = [1, 2, 3, 4].map(routerOf);
  for (const name of many(50)) {
    const places = entries.map((entry) => place(entry, eight, conversation(name, 3)));
    equal(new Set(places).size, 1);
  }
});

test('[R8] a conversation stays where it was placed, turn after turn', () => {
  const router = routerOf();
  for (const name of many(50)) {
    // Its first place had no room, so it is not where rendezvous alone would send it.
    const home = place(routerOf(), eight, conversation(name, 1));
    const placed = place(router, eight, conversation(name, 1), { avoid: [home] });
    for (const turns of [2, 3, 4]) equal(place(router, eight, conversation(name, turns)), placed);
  }
});

test('[R9] what all prompts begin with keeps no two of them together, and conversations stay', () => {
  const system = many(10).map((i) => 9_000_000 + i);
  const router = routerOf();
  const homes = new Map<number, string>();
  for (const name of many(200)) homes.set(name, place(router, eight, [...system, ...conversation(name, 1)]));
  const count = counted([...homes.values()].slice(40));
  equal(Object.keys(count).length, 8);
  ok(Math.max(...Object.values(count)) < 50, JSON.stringify(count));
  const stayed = many(200).filter(
    (name) => place(router, eight, [...system, ...conversation(name, 2)]) === homes.get(name),
  );
  ok(stayed.length > 160, `${stayed.length} of 200 stayed`);
});

test('[R10] a member with more than its part of the requests passes its prompts on, all to the same next one', () => {
  const prompt = conversation(1, 2);
  const home = place(routerOf(), eight, prompt);
  const crowded = { running: { [home]: 12 } };
  const next = place(routerOf(), eight, prompt, crowded);
  ok(next !== home);
  equal(place(routerOf(2), eight, prompt, crowded), next);
  equal(place(routerOf(), eight, prompt, { running: { [home]: 4 } }), home);
});

test('[R10] one conversation that outgrows a member does not stay with it alone', () => {
  const router = routerOf();
  const places = many(400).map((turn) => place(router, eight, conversation(1, turn)));
  const blocks: Record<string, number> = {};
  for (const [i, name] of places.entries()) blocks[name] = (blocks[name] ?? 0) + 4 * (i + 1);
  const mean = Object.values(blocks).reduce((sum, one) => sum + one, 0) / 8;
  ok(Math.max(...Object.values(blocks)) < 1.25 * mean, JSON.stringify(blocks));
});

test('[R11] who goes leaves its prompts to all others, and nobody else loses one', () => {
  const prompts = many(2_000).map((name) => [name * 7_919]);
  const before = prompts.map((prompt) => place(routerOf(), eight, prompt));
  const seven = eight.filter((name) => name !== 'c');
  const after = prompts.map((prompt) => place(routerOf(), seven, prompt));
  const moved = prompts.flatMap((_, i) => (before[i] === after[i] ? [] : [i]));
  ok(moved.every((i) => before[i] === 'c'));
  const heirs = counted(moved.map((i) => after[i]!));
  equal(Object.keys(heirs).length, 7);
  ok(Math.max(...Object.values(heirs)) < (2 * moved.length) / 7, JSON.stringify(heirs));
});

test('[R11] who comes gets its share of new prompts and none of the conversations that run', () => {
  const router = routerOf();
  const seven = eight.slice(0, 7);
  const homes = many(100).map((name) => place(router, seven, conversation(name, 1), { at: 60_000 }));
  const later = { at: 160_000 };
  place(router, eight, [], { at: 100_000 });
  const still = many(100).map((name) => place(router, eight, conversation(name, 2), later));
  deepEqual(still, homes);
  const fresh = counted(many(800).map((name) => place(router, eight, [name * 104_729], later)));
  ok(fresh['h']! > 60 && fresh['h']! < 160, JSON.stringify(fresh));
});

test('[R11] an answer that has to go on elsewhere goes where its prompt would go next', () => {
  const prompt = conversation(3, 2);
  const [first, second] = [routerOf(1), routerOf(2)];
  const home = place(first, eight, prompt);
  const seven = eight.filter((name) => name !== home);
  const next = place(first, eight, prompt, { avoid: [home] });
  equal(place(second, seven, prompt), next);
});

/** Where a prompt without a block goes, by turns: all have the same to do. */
function asked(router: Router, names: readonly string[], doubted: readonly string[], at = 1): string {
  const standing = {
    ready: names.map((name) => ({ ...idle(name), doubted: doubted.includes(name) })),
    starting: 0,
  };
  const wish = { avoid: [], urgent: false };
  const places = many(100).map(() => {
    const choice = routing.place(router, { model: 'm', standing, wish, prompt: [] }, instant(at));
    return choice.type === 'chosen' ? choice.member : choice.why;
  });
  return Object.keys(counted(places)).sort().join('');
}

test('[R13] [R15] never more than half are left out, whether they fail or are silent', () => {
  const five = ['a', 'b', 'c', 'd', 'e'];
  const failing = (...names: readonly string[]): Router => {
    const router = routerOf();
    for (const name of names) fail(router, name, 3);
    return router;
  };
  equal(asked(failing('a'), five, ['b']), 'cde');
  equal(asked(failing('a', 'b'), five, ['b']), 'cde');
  equal(asked(failing('a', 'b'), five, ['c', 'd']), 'cde');
  equal(asked(failing('a', 'b', 'c'), five, ['d']), 'abce');
  equal(asked(failing('a', 'b', 'c'), five, ['c', 'd', 'e']), 'abcde');
  equal(asked(failing('a', 'b'), ['a', 'b', 'c', 'd'], []), 'cd');
});

test('[R15] where an answer fell silent a moment ago nobody is sent, not even for a prefix, unless all are silent', () => {
  const prompt = conversation(3, 2);
  const placeAt = (router: Router, doubted: readonly string[], names = eight): string => {
    const ready = names.map((name) => ({ ...idle(name), doubted: doubted.includes(name) }));
    const request = {
      model: 'm',
      standing: { ready, starting: 0 },
      wish: { avoid: [], urgent: false },
      prompt,
    };
    const choice = routing.place(router, request, instant(0));
    return choice.type === 'chosen' ? choice.member : choice.why;
  };
  const home = placeAt(routerOf(), []);
  notEqual(placeAt(routerOf(), [home]), home);
  equal(placeAt(routerOf(), eight), home);
  equal(placeAt(routerOf(), [home], [home]), home);
});

/** Requests of entry nodes that hear of no other's, between two reports of load, with one newcomer that is idle. */
function burst(entries: readonly Router[], at: number, requests: number): Record<string, number> {
  const running = Object.fromEntries(eight.map((name) => [name, name === 'h' ? 0 : 20]));
  const sent = entries.map(() => new Map<string, number>());
  let rng: Rng = { seed: 5 };
  const places = many(requests).map(() => {
    const [index, next] = draw(rng, entries.length);
    rng = next;
    const own = sent[index]!;
    const ready = eight.map((name) => ({ ...idle(name, running[name]), unreported: own.get(name) ?? 0 }));
    const choice = routing.place(
      entries[index]!,
      { model: 'm', standing: { ready, starting: 0 }, wish: { avoid: [], urgent: false }, prompt: [] },
      instant(at),
    );
    const name = choice.type === 'chosen' ? choice.member : choice.why;
    own.set(name, (own.get(name) ?? 0) + 1);
    return name;
  });
  return counted(places);
}

test('[R12] eight entry nodes do not stampede a member that has just become ready', () => {
  const entries = many(8).map(routerOf);
  for (const entry of entries) {
    place(entry, eight.slice(0, 7), []);
    place(entry, eight.slice(0, 7), [], { at: 50_000 });
  }
  const early = burst(entries, 50_100, 160);
  ok((early['h'] ?? 0) <= 24, JSON.stringify(early));
  for (const at of [55_000, 62_000, 70_000, 78_000, 85_000])
    for (const entry of entries) place(entry, eight, [], { at });
  const late = burst(entries, 85_100, 160);
  ok(late['h']! > 100, JSON.stringify(late));
});

test('[R12] a member that was away for a moment is not new', () => {
  const router = routerOf();
  const running = { a: 1, b: 0 };
  place(router, ['a', 'b'], [], { at: 0 });
  place(router, ['a', 'b'], [], { at: 60_000 });
  place(router, ['a'], [], { at: 63_000 });
  equal(place(router, ['a', 'b'], [], { at: 66_000, running }), 'b');
  place(router, ['a'], [], { at: 70_000 });
  equal(place(router, ['a', 'b'], [], { at: 90_100, running }), 'a');
});

/** One after the other, each begun when the one before had failed. */
function fail(router: Router, name: string, times: number, at = 0): readonly (number | null)[] {
  return many(times).map((i) => {
    const [begunAt, now] = [instant(at + i / 1_000), instant(at + i / 1_000 + 0.000_5)];
    return routing.heard(router, { member: memberId(name), failed: true, begunAt }, now);
  });
}

test('[R13] a member that fails three times in a row is left out, and longer each time', () => {
  const router = routerOf();
  const running = { a: 0, b: 9, c: 9 };
  const three = ['a', 'b', 'c'];
  deepEqual(fail(router, 'a', 3), [null, null, 5_000]);
  ok(place(router, three, [], { running, at: 4_999 }) !== 'a');
  equal(place(router, three, [], { running, at: 5_001 }), 'a');
  deepEqual(fail(router, 'a', 1, 5_002), [10_000]);
  ok(place(router, three, [], { running, at: 15_000 }) !== 'a');
});

test('[R13] failures now and then put nobody out, and success is forgiving', () => {
  const router = routerOf();
  for (const i of many(400))
    equal(
      routing.heard(router, { member: memberId('a'), failed: i % 4 === 0, begunAt: instant(i) }, instant(i)),
      null,
    );
});

test('[R13] what one crash ends is one failure, however many requests it were', () => {
  const router = routerOf();
  for (const i of many(100))
    equal(
      routing.heard(router, { member: memberId('a'), failed: true, begunAt: instant(i) }, instant(1_000)),
      null,
    );
  equal(place(router, ['a', 'b'], [], { running: { b: 1 }, at: 1_001 }), 'a');
});

test('[R13] where most fail all are asked, and whoever is left out is better than nobody', () => {
  const router = routerOf();
  for (const name of ['a', 'b']) fail(router, name, 3);
  equal(place(router, ['a', 'b', 'c'], [], { running: { a: 0, b: 5, c: 9 }, at: 1 }), 'a');
  const two = routerOf();
  fail(two, 'a', 3);
  equal(place(two, ['a', 'b'], [], { at: 1 }), 'b');
  equal(place(two, ['a', 'b'], [], { at: 1, avoid: ['b'] }), 'a');
});

test('[R14] however many members failed and are gone, one more that fails is left out', () => {
  const router = routerOf();
  fail(router, 'a', 3);
  fail(router, 'b', 2);
  for (const i of many(999)) fail(router, `gone${i}`, 1, i);
  fail(router, 'b', 1, 1_000);
  equal(router.outliers.size, 1_000);
  equal(router.outliers.has(memberId('a')), false);
  equal(asked(router, ['a', 'b', 'c'], [], 1_001), 'ac');
  deepEqual(fail(router, 'c', 3, 1_002), [null, null, 5_000]);
  equal(router.outliers.size, 1_000);
  equal(router.outliers.has(memberId('gone1')), false);
  equal(asked(router, ['a', 'b', 'c', 'd'], [], 1_003), 'ad');
});

test('[R14] what is remembered stays within its bounds, however many prompts, members and models there are', () => {
  const router = routerOf();
  for (const i of many(300)) {
    const prompt = many(400).map((block) => i * 1_000 + block);
    const names = eight.map((name) => `${name}${i}`);
    routing.place(
      router,
      {
        model: `m${i}`,
        standing: { ready: names.map((name) => idle(name)), starting: 0 },
        wish: { avoid: [], urgent: false },
        prompt,
      },
      instant(i),
    );
  }
  equal(router.prefixes.known.size, 65_536);
  equal(router.newcomers.size, 256);
  equal(router.work.size, 2_000);
  equal(router.prefixes.known.has(300 * 1_000 + 1), true);
  equal(router.prefixes.known.has(1_001), false);
});
