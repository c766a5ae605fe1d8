import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { brokenBounds, isQuiet, journalsOf, memoryGrowth, socketGrowth, type SoakReport } from './leaks.ts';
import type { Vitals } from './vitals.ts';

const calm: Vitals = { rssMb: 160, sockets: 40, journals: 0 };

const flat: SoakReport = {
  ...{ minutes: 20, kills: 100, streams: 10_000, cut: 0, wrongTokens: 0, doubledTokens: 0 },
  ...{ resumed: 900, moved: 900, rssMb: { from: 160, to: 165 }, sockets: { from: 40, to: 44 }, journals: 0 },
};

test('a soak in which nothing is left over breaks no bound, and each leak breaks one', () => {
  deepEqual(brokenBounds(flat), []);
  const harms: readonly (readonly [Partial<SoakReport>, string])[] = [
    [{ cut: 1 }, 'no stream is cut'],
    [{ doubledTokens: 1 }, 'no token is wrong or doubled'],
    [{ kills: 0 }, 'somebody was killed'],
    [{ streams: 0 }, 'somebody asked'],
    [{ rssMb: { from: 100, to: 116 } }, 'memory is flat'],
    [{ rssMb: { from: NaN, to: 160 } }, 'memory is flat'],
    [{ sockets: { from: 40, to: 53 } }, 'no socket is left over'],
    [{ journals: 1 }, 'no journal is left over'],
    [{ journals: null }, 'no journal is left over'],
  ];
  for (const [harm, bound] of harms) deepEqual(brokenBounds({ ...flat, ...harm }), [bound]);
});

test('a node that does not say how many journals it keeps leaves it unknown, whatever the others say', () => {
  equal(journalsOf([calm, { ...calm, journals: 3 }]), 3);
  equal(journalsOf([calm, { ...calm, journals: null }]), null);
  equal(isQuiet([calm, calm], [calm, calm]), true);
  equal(isQuiet([calm, calm], [calm, { ...calm, journals: null }]), false);
});

test('sockets are counted against the same node, so that one that has fewer hides no other', () => {
  const before = [calm, { ...calm, sockets: 80 }];
  const after = [
    { ...calm, sockets: 75 },
    { ...calm, sockets: 85 },
  ];
  deepEqual(socketGrowth(before, after), { from: 40, to: 75 });
  equal(isQuiet(before, after), false);
});

test('memory grows from the second quarter to the last, on the node where it grows most', () => {
  const looks = [999, 999, 160, 160, 300, 300, 200, 200].map((rssMb) => [calm, { ...calm, rssMb }]);
  deepEqual(memoryGrowth(looks), { from: 160, to: 200 });
});
