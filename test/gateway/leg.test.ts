import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { Dispatcher } from 'undici';
import { legsBy } from '../../src/gateway/leg.ts';
import { roomFor } from '../../src/gateway/room.ts';
import type { Way } from '../../src/gateway/way.ts';
import type { LegNews } from '../../src/node/leg.ts';
import { Failure } from '../../src/std/failure.ts';
import { memberId } from '../../src/std/member-id.ts';

const [self, member] = [memberId('self'), memberId('member')];
const request = { path: '/v1/completions', body: '{}', streamed: true } as const;

/** As a connection: steered by nobody here. */
const connection = (): Dispatcher.DispatchController => ({
  ...{ aborted: false, paused: false, reason: null, abort: () => {}, pause: () => {}, resume: () => {} },
});

/** What is heard of a leg that goes by this way. */
function newsBy(dispatch: Way['dispatch'], room = roomFor(1_024)): readonly LegNews[] {
  const heard: LegNews[] = [];
  const ears = { news: (news: LegNews) => void heard.push(news), load: () => {} };
  legsBy({ dispatcherTo: () => ({ dispatch }), self, room })(
    { member, headers: {}, owner: '' },
    request,
    ears,
  );
  return heard;
}

const reset = Object.assign(new Error('reset'), { code: 'ECONNRESET' });
const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });

test('a leg that its connection loses was lost; one that no connection came to be for was not reached', () => {
  const lost = newsBy((_, handler) => {
    const first = connection();
    handler.onRequestStart?.(first, null);
    handler.onResponseError?.(first, reset);
    return true;
  });
  deepEqual(lost, [{ type: 'ended', cause: 'reset', why: 'ECONNRESET' }]);
  const unreached = newsBy((_, handler) => {
    handler.onResponseError?.(connection(), refused);
    return true;
  });
  deepEqual(unreached, [{ type: 'unreached', why: 'ECONNREFUSED', fault: 'member' }]);
});

test('a leg that was given back was not reached when no other connection comes to be, and is lost by that one else', () => {
  const unreached = newsBy((options, handler) => {
    deepEqual(options.idempotent, true);
    handler.onRequestStart?.(connection(), null);
    handler.onResponseError?.(connection(), refused);
    return true;
  });
  deepEqual(unreached, [{ type: 'unreached', why: 'ECONNREFUSED', fault: 'member' }]);
  const lost = newsBy((_, handler) => {
    handler.onRequestStart?.(connection(), null);
    const second = connection();
    handler.onRequestStart?.(second, null);
    handler.onResponseError?.(second, reset);
    return true;
  });
  deepEqual(lost, [{ type: 'ended', cause: 'reset', why: 'ECONNRESET' }]);
});

test('who says that it takes nothing just now is in no doubt, by whatever way; who has no engine to ask has a broken one', () => {
  const full = newsBy((_, handler) => {
    const first = connection();
    handler.onRequestStart?.(first, null);
    handler.onResponseError?.(first, new Failure('busy', 'call: busy: full'));
    return true;
  });
  deepEqual(full, [{ type: 'unreached', why: 'call: busy: full', fault: null }]);
  for (const [why, fault] of [
    ['draining', null],
    ['full', null],
    ['engine-unreached', 'engine'],
    ['of a later version', 'engine'],
  ] as const) {
    const refused = newsBy((_, handler) => {
      handler.onResponseStart?.(connection(), 503, { 'x-synkti-refused': why });
      return true;
    });
    deepEqual(refused, [{ type: 'unreached', why, fault }]);
  }
});

test('answers in one piece have one room together, and what was held is free again however a leg ends', () => {
  const room = roomFor(1_024);
  const taken: Dispatcher.DispatchHandler[] = [];
  let aborted = 0;
  const dispatch: Way['dispatch'] = (_, handler) => {
    const one = { ...connection(), abort: () => aborted++ };
    handler.onRequestStart?.(one, null);
    handler.onResponseStart?.(one, 200, { 'content-type': 'application/json' });
    handler.onResponseData?.(one, Buffer.alloc(600));
    taken.push(handler);
    return true;
  };
  const tooMuch = [{ type: 'ended', cause: 'crowded', why: 'too many large answers at once' }];
  const whole = newsBy(dispatch, room);
  deepEqual([newsBy(dispatch, room), aborted], [tooMuch, 1]);
  taken[0]!.onResponseEnd?.(connection(), {});
  deepEqual(
    whole.map(({ type }) => type),
    ['answer'],
  );
  const lost = newsBy(dispatch, room);
  deepEqual(newsBy(dispatch, room), tooMuch);
  taken[2]!.onResponseError?.(connection(), reset);
  deepEqual(lost.length, 1);
  const ears = { news: () => {}, load: () => {} };
  const left = legsBy({ dispatcherTo: () => ({ dispatch }), self, room })(
    { member, headers: {}, owner: '' },
    request,
    ears,
  );
  deepEqual(newsBy(dispatch, room), tooMuch);
  left?.abort();
  deepEqual(newsBy(dispatch, room), [], 'there is room for it');
});
