import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import {
  emptyFleet,
  deadline,
  step,
  type Fleet,
  type FleetEffect,
} from '../../../src/localcloud/instances/fleet.ts';
import type { FleetEvent, FleetTimings } from '../../../src/localcloud/instances/fleet.ts';
import type { Blueprint, Phase } from '../../../src/localcloud/instances/instance.ts';
import { truth, visible } from '../../../src/localcloud/instances/tags.ts';
import { instant, wallTime } from '../../../src/std/time.ts';

const timings: FleetTimings = {
  bootMs: 100,
  shutdownMs: 5_000,
  settleMs: 300,
  lagMs: 200,
  remembersTerminatedMs: 3_600_000,
};

const blueprint: Blueprint = {
  id: 'i-1',
  index: 0,
  reservationId: 'r-1',
  zone: 'us-east-1a',
  type: 'g5.xlarge',
  imageId: 'ami-00000001',
  lifecycle: 'spot',
  privateIp: '10.0.0.4',
  mac: '0a:00:00:00:00:01',
  clientToken: null,
  group: null,
  tags: {},
};

/** A fleet of one instance, told what happens and when, and asked what it ordered. */
function story(overrides: Partial<FleetTimings> = {}) {
  let now = 0;
  let fleet: Fleet = emptyFleet(
    { ...timings, ...overrides },
    { seed: 7, now: instant(0), wall: wallTime(0) },
  );
  const tell = (event: FleetEvent): readonly string[] => {
    const [next, effects] = step(fleet, event, instant(now));
    fleet = next;
    return effects.map(worded);
  };
  return {
    tell,
    /** Moves on to the next deadline and lets it happen. */
    next(): readonly string[] {
      now = deadline(fleet);
      return tell({ type: 'tick' });
    },
    at: (): number => now,
    pass: (ms: number): void => void (now += ms),
    instance: () => fleet.instances.get('i-1'),
    phase: (): Phase | 'forgotten' => fleet.instances.get('i-1')?.phase ?? 'forgotten',
    deadline: (): number => deadline(fleet),
  };
}

function running(overrides: Partial<FleetTimings> = {}) {
  const told = story(overrides);
  told.tell({ type: 'run', blueprints: [blueprint] });
  told.next();
  return told;
}

function worded(effect: FleetEffect): string {
  switch (effect.type) {
    case 'signal':
      return `${effect.signal} ${effect.part}`;
    case 'isolate':
      return effect.on ? 'isolate' : 'join';
    case 'moved':
      return effect.phase;
    case 'boot':
    case 'forgotten':
      return effect.type;
  }
}

test('an instance is pending, runs and is booted when its time to boot is over', () => {
  const told = story();
  deepEqual(told.tell({ type: 'run', blueprints: [blueprint] }), ['pending']);
  equal(told.deadline(), 100);
  deepEqual(told.next(), ['running', 'boot']);
  equal(told.deadline(), Infinity);
});

test('a spot reclaim kills daemon and engine together and at once', () => {
  const told = running();
  deepEqual(told.tell({ type: 'terminate', id: 'i-1', cause: 'spot' }), [
    'SIGKILL instance',
    'shutting-down',
  ]);
  deepEqual(told.next(), ['terminated']);
  equal(told.at(), 400);
  deepEqual(told.next(), ['forgotten']);
  equal(told.at(), 400 + 3_600_000);
  equal(told.phase(), 'forgotten');
});

test('a user who terminates presses the power button first, and the power goes later', () => {
  const told = running();
  deepEqual(told.tell({ type: 'terminate', id: 'i-1', cause: 'user' }), ['shutting-down', 'SIGTERM daemon']);
  deepEqual(told.next(), ['SIGKILL instance']);
  equal(told.at(), 5_100);
  deepEqual(told.next(), ['terminated']);
});

test('a daemon that exits on the power button does not make anyone wait', () => {
  const told = running();
  told.tell({ type: 'terminate', id: 'i-1', cause: 'user' });
  deepEqual(told.tell({ type: 'exited', id: 'i-1', terminates: false }), ['SIGKILL instance']);
  equal(told.instance()?.cause, 'user');
  deepEqual(told.next(), ['terminated']);
  equal(told.at(), 400);
});

test('a spot deadline overtakes a polite shutdown', () => {
  const told = running();
  told.tell({ type: 'terminate', id: 'i-1', cause: 'group' });
  deepEqual(told.tell({ type: 'terminate', id: 'i-1', cause: 'spot' }), ['SIGKILL instance']);
  deepEqual(told.next(), ['terminated']);
});

test('whoever terminates twice changes nothing the second time', () => {
  const told = running();
  told.tell({ type: 'terminate', id: 'i-1', cause: 'spot' });
  deepEqual(told.tell({ type: 'terminate', id: 'i-1', cause: 'user' }), []);
  deepEqual(told.tell({ type: 'terminate', id: 'i-1', cause: 'hardware' }), []);
  told.next();
  deepEqual(told.tell({ type: 'terminate', id: 'i-1', cause: 'spot' }), []);
  equal(told.phase(), 'terminated');
});

test('a daemon that exits leaves its instance running, unless it is set to end with it', () => {
  const told = running();
  deepEqual(told.tell({ type: 'exited', id: 'i-1', terminates: false }), []);
  equal(told.phase(), 'running');
  deepEqual(told.tell({ type: 'terminate', id: 'i-1', cause: 'spot' }), [
    'SIGKILL instance',
    'shutting-down',
  ]);

  const other = running();
  deepEqual(other.tell({ type: 'exited', id: 'i-1', terminates: true }), [
    'SIGKILL instance',
    'shutting-down',
  ]);
  equal(other.instance()?.cause, 'exit');
});

test('stopping kills, hibernating freezes and cuts off; both end in stopped', () => {
  const stopped = running();
  deepEqual(stopped.tell({ type: 'stop', id: 'i-1', hibernate: false }), ['SIGKILL instance', 'stopping']);
  deepEqual(stopped.next(), ['stopped']);

  const hibernated = running();
  deepEqual(hibernated.tell({ type: 'stop', id: 'i-1', hibernate: true }), [
    'SIGSTOP instance',
    'isolate',
    'stopping',
  ]);
  deepEqual(hibernated.next(), ['stopped']);
  equal(hibernated.deadline(), Infinity);
  deepEqual(hibernated.tell({ type: 'terminate', id: 'i-1', cause: 'group' }), [
    'SIGKILL instance',
    'shutting-down',
  ]);
});

test('what is frozen is known until it is thawed, part by part', () => {
  const told = running();
  told.tell({ type: 'signal', id: 'i-1', part: 'engine', signal: 'SIGSTOP' });
  deepEqual(told.instance()?.frozen, ['engine']);
  told.tell({ type: 'signal', id: 'i-1', part: 'daemon', signal: 'SIGSTOP' });
  deepEqual(told.instance()?.frozen, ['engine', 'daemon']);
  told.tell({ type: 'signal', id: 'i-1', part: 'instance', signal: 'SIGCONT' });
  deepEqual(told.instance()?.frozen, []);
});

test('the API sees a launch and a tag a moment later, the instance itself at once', () => {
  const told = running();
  const born = told.instance()!.visibleAt;
  ok(born >= 100 && born <= 300, `visible after ${born} ms`);
  told.pass(1_000);
  told.tell({ type: 'tag', id: 'i-1', change: { type: 'set', tags: { SynktiRole: 'worker' } } });
  const { tags } = told.instance()!;
  deepEqual(truth(tags), { SynktiRole: 'worker' });
  deepEqual(visible(tags, instant(told.at())), {});
  deepEqual(visible(tags, instant(told.at() + 300)), { SynktiRole: 'worker' });
});

test('the same seed lags the same', () => {
  const lag = () => running().instance()!.visibleAt;
  equal(lag(), lag());
});

test('what is said of an instance that is not there changes nothing', () => {
  const told = story();
  deepEqual(told.tell({ type: 'terminate', id: 'i-2', cause: 'spot' }), []);
  deepEqual(told.tell({ type: 'exited', id: 'i-2', terminates: true }), []);
});
