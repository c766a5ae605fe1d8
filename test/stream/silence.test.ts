/** When a stream's silence is taken for the loss of its engine. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Event } from '../../src/stream/events.ts';
import { errorEvent, lead, memberOfLeg } from './conversation.ts';
import { answer, chat, chunk, flowing, types, whole } from './counting.ts';

test('[S9] a stream that speaks every 30 ms is given 0.8 s of silence, from its last word', () => {
  const led = flowing();
  for (let i = 1; i <= 20; i++) led.item(100 + i * 30, 1, chunk(answer[1]!, ' two'));
  equal(led.deadline(), 900);
  deepEqual(led.at(900, { type: 'tick' }), []);
  equal(led.deadline(), 1_500);
  deepEqual(types(led.at(1_500, { type: 'tick' })), ['doubt', 'abort', 'open']);
});

test('[S9] a stream that has shown no rhythm yet is given two seconds', () => {
  const led = flowing();
  for (const ms of [900, 1_700]) deepEqual(led.at(ms, { type: 'tick' }), []);
  equal(led.deadline(), 2_100);
  deepEqual(types(led.at(2_100, { type: 'tick' })), ['doubt', 'abort', 'open']);
});

test('[S9] a stream that is slow everywhere is moved for it once, not from engine to engine', () => {
  const led = flowing();
  let moves = 0;
  let said = 100;
  for (let i = 1; i <= 10; i++) {
    for (; led.deadline() < said + 3_000;) {
      const effects = led.at(led.deadline(), { type: 'tick' });
      moves += effects.filter(({ type }) => type === 'open').length;
      if (effects.length > 0) {
        led.at(led.now(), { type: 'placed', leg: led.leg(), member: memberOfLeg(led.leg()) });
        led.at(led.now(), { type: 'answered', leg: led.leg() });
        said = led.now();
      }
    }
    said += 3_000;
    led.item(said, led.leg(), chunk(answer[1]!, ' two'));
  }
  equal(moves, 1);
});

test('[S9] what was left for its silence gets twice the time of the next engine, not eight times', () => {
  const led = flowing();
  for (let i = 1; i <= 20; i++) led.item(100 + i * 30, 1, chunk(answer[1]!, ' two'));
  for (; led.leg() === 1;) led.at(led.deadline(), { type: 'tick' });
  equal(led.now(), 1_500);
  led.at(1_500, { type: 'placed', leg: 2, member: memberOfLeg(2) });
  led.at(1_505, { type: 'answered', leg: 2 });
  led.item(1_510, 2, chunk(answer[2]!, ' three'));
  led.item(1_540, 2, chunk(answer[3]!, ' four'));
  for (; led.leg() === 2;) led.at(led.deadline(), { type: 'tick' });
  ok(led.now() > 1_540 + 1_200 && led.now() < 1_540 + 1_600, `left at ${led.now()}`);
  // Twice is no accident.
  led.at(3_100, { type: 'placed', leg: 3, member: memberOfLeg(3) });
  led.item(3_110, 3, chunk(answer[4]!, ' five'));
  deepEqual(led.at(3_110 + 8_000, { type: 'tick' }), []);
});

test('[S10] what this node stood still is no time in which a member was looked for', () => {
  const heardAfter: Record<string, Event> = {
    'a timer': { type: 'tick' },
    // Which is heard before any timer.
    'that it was not reached': { type: 'unreached', leg: 3 },
    'that it is busy': { type: 'answer', leg: 3, status: 503, body: errorEvent },
  };
  for (const [what, heard] of Object.entries(heardAfter)) {
    const led = flowing();
    led.at(1_000, { type: 'ended', leg: 1, cause: 'reset' });
    deepEqual(led.at(1_000, { type: 'unplaced', leg: 2, why: 'unavailable' }), []);
    deepEqual(types(led.at(31_000, { type: 'tick' })), ['open']);
    led.at(31_000, { type: 'placed', leg: 3, member: memberOfLeg(3) });
    led.at(71_000, heard);
    led.at(71_000, { type: 'ended', leg: led.leg(), cause: 'reset' });
    deepEqual(led.at(71_000, { type: 'unplaced', leg: led.leg(), why: 'unavailable' }), []);
    equal(led.deadline(), 71_250, what);
  }
});

test('[S9] a stall is as long as the client hears nothing, from its request on', () => {
  const led = lead(chat());
  led.at(0, { type: 'begin' });
  led.at(0, { type: 'placed', leg: 1, member: memberOfLeg(1) });
  led.at(700, { type: 'move', member: memberOfLeg(1), cause: 'suspect', elsewhere: true });
  led.at(700, { type: 'placed', leg: 2, member: memberOfLeg(2) });
  led.at(705, { type: 'answered', leg: 2 });
  const told = led.item(730, 2, chunk(answer[0]!, 'One'));
  const fact = told.flatMap((effect) => (effect.type === 'fact' ? [effect.fact] : []))[0];
  deepEqual(fact?.fact === 'stream.moved' && fact.stallMs, 730);
});

test('[S9] a slow stream is given a multiple of its own rhythm', () => {
  const led = flowing();
  for (let i = 1; i <= 5; i++) led.item(100 + i * 1_000, 1, chunk(answer[1]!, ' two'));
  deepEqual(led.at(13_000, { type: 'tick' }), []);
  equal(led.deadline(), 5_100 + 8_000);
});

test('[S9] before the first token patience is longer, and longest for an answer in one piece', () => {
  const streamed = lead(chat());
  streamed.at(0, { type: 'begin' });
  equal(streamed.deadline(), 10_000);
  streamed.at(5, { type: 'answered', leg: 1 });
  equal(streamed.deadline(), 120_005);
  const piece = lead(whole({ stream: false }));
  piece.at(0, { type: 'begin' });
  equal(piece.deadline(), 600_000);
});

test('[S9] a timer that comes seconds late says more about us than about the engine', () => {
  const led = flowing();
  deepEqual(led.at(9_000, { type: 'tick' }), []);
  equal(led.deadline(), 10_000);
  led.item(9_001, 1, chunk(answer[1]!, ' two'));
  deepEqual(led.at(10_000, { type: 'tick' }), []);
});

test('[S11] who is in doubt while there is nobody else loses what it has not begun as soon as there is', () => {
  const [member, cause] = [memberOfLeg(1), 'suspect'] as const;
  const again = [{ type: 'ask-again', member, cause }];
  for (const begins of [false, true]) {
    const led = lead(chat());
    led.at(0, { type: 'begin' });
    led.at(0, { type: 'placed', leg: 1, member });
    led.at(5, { type: 'answered', leg: 1 });
    led.at(10, { type: 'move', member, cause, elsewhere: false });
    deepEqual(led.at(260, { type: 'tick' }), again);
    led.at(260, { type: 'move', member, cause, elsewhere: false });
    deepEqual(led.at(510, { type: 'tick' }), again);
    if (begins) led.item(510, 1, chunk(answer[0]!, 'One'));
    const moved = led.at(510, { type: 'move', member, cause, elsewhere: true });
    deepEqual(types(moved), begins ? [] : ['abort', 'fact', 'open']);
  }
});

test('[S11] a doubt does not take the place of an order', () => {
  const led = lead(chat());
  led.at(0, { type: 'begin' });
  led.at(0, { type: 'placed', leg: 1, member: memberOfLeg(1) });
  for (const cause of ['drain', 'suspect'] as const)
    led.at(10, { type: 'move', member: memberOfLeg(1), cause, elsewhere: false });
  deepEqual(led.at(260, { type: 'tick' }), [{ type: 'ask-again', member: memberOfLeg(1), cause: 'drain' }]);
});
