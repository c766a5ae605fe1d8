import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import {
  emptyRings,
  insert,
  observersOf,
  remove,
  seatOf,
  subjectsOf,
  type Rings,
  type Seat,
} from '../../src/membership/rings.ts';
import { memberId } from '../../src/std/member-id.ts';

const seat = (number: number): Seat => {
  const id = memberId(`i-0a${(number * 7_919).toString(16).padStart(15, '0')}`);
  return { id, ...seatOf(id) };
};

function ringsOf(count: number) {
  const rings = emptyRings<Seat>();
  const seats = Array.from({ length: count }, (_, number) => seat(number));
  for (const one of seats) insert(rings, one);
  return { rings, seats };
}

/** Of equal hashes in every ring. */
const twins = ['i-0a', 'i-0b', 'i-0c'].map((id): Seat => ({ id: memberId(id), seatA: 5, seatB: 7 }));
const all = (): boolean => true;

test('[M2] everybody has as many observers as there are others, up to seven, distinct, and never itself', () => {
  for (const count of [1, 2, 3, 5, 9, 10, 50, 400]) {
    const { rings, seats } = ringsOf(count);
    for (const one of seats) {
      const observers = observersOf(rings, one, all);
      equal(observers.length, Math.min(7, count - 1));
      equal(new Set(observers).size, observers.length);
      ok(!observers.includes(one));
    }
  }
});

test('[M2] who observes and who is observed agree, dead members between them or not', () => {
  for (const count of [2, 3, 9, 12, 40, 200]) {
    const { rings, seats } = ringsOf(count);
    for (const isLiving of [all, (one: Seat) => seats.indexOf(one) % 4 !== 1]) {
      for (const one of seats.filter(isLiving)) {
        const { subjects } = subjectsOf(rings, one, isLiving);
        const expected = seats.filter(
          (other) => isLiving(other) && observersOf(rings, other, isLiving).includes(one),
        );
        deepEqual(new Set(subjects), new Set(expected));
      }
    }
  }
});

test('[M2] every dead member is the charge of those who would observe it', () => {
  const { rings, seats } = ringsOf(60);
  const isLiving = (one: Seat): boolean => seats.indexOf(one) % 3 !== 0;
  for (const dead of seats.filter((one) => !isLiving(one))) {
    const nearest = observersOf(rings, dead, isLiving)[0] as Seat;
    ok(subjectsOf(rings, nearest, isLiving).charges.includes(dead));
  }
});

test('[M2] it makes no difference in which order members came, how many at a time, or who went', () => {
  const { rings, seats } = ringsOf(100);
  const [early, late] = [emptyRings<Seat>(), emptyRings<Seat>()];
  for (const one of twins) insert(rings, one);
  const members = [...seats, ...twins];
  const observers = (those: Rings<Seat>): Seat[][] => members.map((one) => observersOf(those, one, all));
  for (const one of members.toReversed()) insert(early, one);
  for (let number = 100; number < 115; number++) insert(late, seat(number));
  members.toReversed().forEach((one, number) => {
    insert(late, one);
    if (number % 7 === 0 || twins.includes(one)) observersOf(late, one, all); // seats those who came so far
  });
  for (let number = 115; number < 130; number++) insert(late, seat(number));
  for (let number = 129; number >= 100; number--) remove(late, seat(number));
  deepEqual(observers(early), observers(rings));
  deepEqual(observers(late), observers(rings));
});

test('[M2] duties are spread: nobody observes four times as many as it should', () => {
  const { rings, seats } = ringsOf(1_000);
  const counts = seats.map((one) => subjectsOf(rings, one, all).subjects.length);
  equal(
    counts.reduce((sum, count) => sum + count, 0),
    7_000,
  );
  ok(Math.max(...counts) <= 28, `${Math.max(...counts)}`);
});
