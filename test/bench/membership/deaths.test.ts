import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { Said } from '../../lab/witness.ts';
import { deathsTold, ofBystanders, type Loss } from './deaths.ts';

const died = (at: number, by: number, of: number): Said => ({
  ...{ at, by, member: `i-${of}`, fact: 'member.died', line: '' },
});
const lost = (from: number, index: number): Loss => ({ from, index, id: `i-${index}` });
const losses = [lost(100, 1), lost(200, 2)];

test('a death that is told belongs to the stress that had begun last, to the millisecond', () => {
  const said = [died(99, 3, 4), died(100, 3, 4), died(199, 3, 4), died(200, 3, 4)];
  deepEqual(
    deathsTold(said, { from: 100, until: 200 }).map(({ at }) => at),
    [100, 199],
  );
  deepEqual(deathsTold([{ ...died(100, 3, 4), fact: 'member.suspected' }], { from: 0, until: 200 }), []);
});

test('who is lost may be held dead by all, and whoever is cut off may hold all dead', () => {
  deepEqual(ofBystanders([died(100, 3, 1), died(150, 1, 3), died(200, 3, 2), died(250, 2, 3)], losses), []);
});

test('a death of who was not lost, or of who is back since another one was lost, is explained by no loss', () => {
  const wrong = [died(50, 3, 1), died(150, 3, 4), died(200, 3, 1), died(250, 1, 3)];
  deepEqual(ofBystanders(wrong, losses), wrong);
});
