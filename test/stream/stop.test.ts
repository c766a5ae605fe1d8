import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { cutPoint, findStop, heldBackMax } from '../../src/stream/stop.ts';

test('[S4] of several stop strings in one token the first of the list counts, as in vLLM', () => {
  const found = findStop(['late', 'ear'], { before: 'x', added: 'early late', singleToken: true });
  deepEqual(found, { stop: 'late', start: 7, end: 11 });
});

test('[S4] of several in several tokens the one that was complete first counts', () => {
  const found = findStop(['late', 'ear'], { before: 'x', added: 'early late', singleToken: false });
  deepEqual(found, { stop: 'ear', start: 1, end: 4 });
});

test('[S4] a stop string may begin in what was said before, but not lie there', () => {
  equal(findStop(['abc'], { before: 'abc', added: 'd', singleToken: true }), null);
  deepEqual(findStop(['abc'], { before: 'xab', added: 'cd', singleToken: true }), {
    stop: 'abc',
    start: 1,
    end: 4,
  });
});

test('[S4] what is held back never tears a character apart', () => {
  equal(heldBackMax(['ab', 'abcd', 'a']), 3);
  equal('x🐈yz'.slice(0, cutPoint('x🐈yz', 3)), 'x');
  equal('x🐈yz'.slice(0, cutPoint('x🐈yz', 2)), 'x🐈');
  equal(cutPoint('🐈', 0), 2);
  equal(cutPoint('ab', 5), 0);
});
