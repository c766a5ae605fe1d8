import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { deadline, init, step, type Effect, type Event, type Path } from '../../src/spot/notices.ts';
import { instant, wallTime } from '../../src/std/time.ts';

/** The metadata service of one instance under virtual time: what each path answers may change while it runs. */
function watch(answer: (path: Path, ms: number) => Event, untilMs: number) {
  const state = init(instant(0));
  const effects: { ms: number; effect: Effect }[] = [];
  let ms = 0;
  const deliver = (event: Event): void => {
    for (const effect of step(state, event, instant(ms))[1]) {
      effects.push({ ms, effect });
      if (effect.type === 'read') deliver(answer(effect.path, ms));
    }
  };
  for (; deadline(state) <= untilMs;) {
    ms = Math.max(ms, deadline(state));
    deliver({ type: 'tick' });
  }
  const of = <T extends Effect['type']>(type: T) =>
    effects.filter(({ effect }) => effect.type === type) as {
      ms: number;
      effect: Extract<Effect, { type: T }>;
    }[];
  const facts = of('fact').map(({ effect }) => effect.fact.fact);
  return { of, facts };
}

const epoch = 1_700_000_000_000;
const nothing = (path: Path): Event => ({ type: 'absent', path });
const action = (name: string, timeMs: number, ms: number): Event => ({
  type: 'read',
  wallNow: wallTime(epoch + ms),
  reading: { path: 'instance-action', action: name, time: wallTime(epoch + timeMs) },
});

test('[N1] the notice is read every half second, the other paths every five', () => {
  const { of } = watch(nothing, 20_000);
  const times = (path: Path): number[] =>
    of('read')
      .filter(({ effect }) => effect.path === path)
      .map(({ ms }) => ms);
  deepEqual(times('instance-action').slice(0, 4), [0, 500, 1_000, 1_500]);
  deepEqual(times('rebalance').slice(0, 3), [250, 5_250, 10_250]);
});

test('[N1] a read that is not answered yet is not repeated', () => {
  const state = init(instant(0));
  deepEqual(step(state, { type: 'tick' }, instant(0))[1], [{ type: 'read', path: 'instance-action' }]);
  const later = step(state, { type: 'tick' }, instant(60_000))[1];
  ok(!later.some((effect) => effect.type === 'read' && effect.path === 'instance-action'));
});

test('[N2] one notice makes one report however often it is read, and a nearer time another', () => {
  const { of } = watch((path, ms) => {
    if (path !== 'instance-action' || ms < 2_000) return nothing(path);
    return action('terminate', ms < 10_000 ? 60_000 : 30_000, ms);
  }, 20_000);
  deepEqual(
    of('leave').map(({ ms, effect }) => [ms, effect.remainingMs]),
    [
      [2_000, 58_000],
      [10_000, 20_000],
    ],
  );
});

for (const name of ['terminate', 'stop', 'hibernate']) {
  test(`[N2] ${name} leaves`, () => {
    const { of } = watch(
      (path, ms) => (path === 'instance-action' ? action(name, 90_000, ms) : nothing(path)),
      1_000,
    );
    deepEqual(
      of('leave').map(({ effect }) => effect.remainingMs),
      [name === 'hibernate' ? 0 : 90_000],
    );
  });
}

test('[N3] a time in the past means now, and one beyond two minutes is not believed', () => {
  for (const [stated, remaining] of [
    [-50_000, 0],
    [900_000, 120_000],
  ] as const) {
    const { of } = watch(
      (path, ms) => (path === 'instance-action' ? action('terminate', stated, ms) : nothing(path)),
      0,
    );
    deepEqual(
      of('leave').map(({ effect }) => effect.remainingMs),
      [remaining],
    );
  }
});

test('[N4] a notice behind a storm of failures is seen by the first read that succeeds', () => {
  const { of, facts } = watch((path, ms) => {
    if (path !== 'instance-action') return nothing(path);
    return ms < 9_000 ? { type: 'failed', path } : action('terminate', 60_000, ms);
  }, 12_000);
  deepEqual(
    of('leave').map(({ ms, effect }) => [ms, effect.remainingMs]),
    [[9_000, 51_000]],
  );
  deepEqual(facts, ['interruption.noticed']);
});

test('[N4] fifteen seconds of failures are told once, and so is the recovery', () => {
  const { facts } = watch((path, ms) => (ms < 30_000 ? { type: 'failed', path } : nothing(path)), 40_000);
  deepEqual(facts, ['imds.blind', 'imds.sighted']);
});

test('[N5] a rebalance recommendation is reported once and never drains', () => {
  const { of, facts } = watch((path, ms) => {
    if (path !== 'rebalance') return nothing(path);
    return { type: 'read', wallNow: wallTime(epoch + ms), reading: { path, noticeTime: wallTime(epoch) } };
  }, 30_000);
  deepEqual(facts, ['rebalance.recommended']);
  equal(of('leave').length, 0);
});

test('[N6] the lifecycle state Terminated drains, InService does not', () => {
  const { of } = watch((path, ms) => {
    if (path !== 'lifecycle') return nothing(path);
    const target = ms < 10_000 ? 'InService' : 'Terminated';
    return { type: 'read', wallNow: wallTime(epoch + ms), reading: { path, target } };
  }, 30_000);
  deepEqual(
    of('leave').map(({ ms, effect }) => [ms, effect.reason]),
    [[10_750, 'lifecycle']],
  );
});

test('[N6] maintenance drains when it begins within five minutes, not days before, nor when it is cancelled', () => {
  const at = (notBeforeMs: number, active: boolean) =>
    watch((path, ms) => {
      if (path !== 'maintenance') return nothing(path);
      const event = { code: 'instance-stop', notBefore: wallTime(epoch + notBeforeMs), active };
      return { type: 'read', wallNow: wallTime(epoch + ms), reading: { path, events: [event] } };
    }, 30_000).of('leave');
  deepEqual(
    at(200_500, true).map(({ effect }) => [effect.reason, effect.remainingMs]),
    [['maintenance', 200_000]],
  );
  equal(at(86_400_000, true).length, 0);
  equal(at(200_000, false).length, 0);
});
