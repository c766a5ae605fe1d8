import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import {
  byPeerId,
  deadline,
  init,
  isAdmitted,
  step,
  type Effect,
  type Event,
  type Listed,
  type State,
} from '../../src/membership/membership.ts';
import type { Health } from '../../src/membership/member.ts';
import { memberId } from '../../src/std/member-id.ts';
import { instant } from '../../src/std/time.ts';

const self = memberId('i-self');
const a = memberId('i-a');

const listed = (name: string, more: Partial<Listed> = {}): Listed => ({
  id: memberId(`i-${name}`),
  peerId: `peer-${name}`,
  address: { host: '10.0.0.1', port: 4001 },
  zone: 'us-east-1a',
  left: false,
  ...more,
});

/** One member's view, with a clock of its own. */
function view() {
  const state: State = init({ selfId: self, discoveryMs: 30_000 }, { seed: 1 }, instant(0));
  const facts: string[] = [];
  return {
    state,
    facts,
    at(ms: number, event: Event): readonly Effect[] {
      const [, effects] = step(state, event, instant(ms));
      for (const effect of effects) if (effect.type === 'fact') facts.push(effect.fact.fact);
      return effects;
    },
    health: (id = a): Health | undefined => state.members.get(id)?.health,
  };
}

function metA() {
  const v = view();
  v.at(0, { type: 'tick' });
  v.at(10, { type: 'looked', listed: [listed('a')] });
  v.at(20, { type: 'connected', peerId: 'peer-a' });
  return v;
}

const kinds = (effects: readonly Effect[]): string[] => effects.map((effect) => effect.type);

test('the first look is at once, and whoever is listed is dialled', () => {
  const v = view();
  equal(deadline(v.state), 0);
  deepEqual(kinds(v.at(0, { type: 'tick' })), ['look']);
  const effects = v.at(10, { type: 'looked', listed: [listed('a'), { ...listed('x'), id: self }] });
  deepEqual(kinds(effects), ['dial']);
  equal(v.state.members.size, 1);
});

test('[M1] a failed look changes nothing, and a connected member stays when EC2 does not list it', () => {
  const v = metA();
  v.at(100, { type: 'look-failed', why: 'busy' });
  for (const ms of [200, 300, 400, 500]) v.at(ms, { type: 'looked', listed: [] });
  equal(v.health(), 'alive');
});

test('[M2] a lost connection makes a member suspect at once, and redials at once', () => {
  const v = metA();
  const effects = v.at(1_000, { type: 'disconnected', peerId: 'peer-a' });
  equal(v.health(), 'suspect');
  deepEqual(kinds(effects), ['fact', 'dial']);
});

test('[M3] two refused dials mean dead; no answer at all stays suspect', () => {
  const refused = metA();
  refused.at(1_000, { type: 'disconnected', peerId: 'peer-a' });
  refused.at(1_001, { type: 'dial-failed', id: a, refused: true });
  equal(refused.health(), 'suspect');
  deepEqual(kinds(refused.at(1_500, { type: 'tick' })), ['dial']);
  refused.at(1_501, { type: 'dial-failed', id: a, refused: true });
  equal(refused.health(), 'dead');

  const silent = metA();
  silent.at(1_000, { type: 'disconnected', peerId: 'peer-a' });
  for (let ms = 1_000; ms < 60_000; ms += 500) {
    silent.at(ms, { type: 'dial-failed', id: a, refused: false });
    silent.at(ms, { type: 'tick' });
  }
  equal(silent.health(), 'suspect');
});

test('[M3] a dead member that connects again is alive', () => {
  const v = metA();
  v.at(1_000, { type: 'disconnected', peerId: 'peer-a' });
  v.at(1_001, { type: 'dial-failed', id: a, refused: true });
  v.at(1_500, { type: 'tick' });
  v.at(1_501, { type: 'dial-failed', id: a, refused: true });
  v.at(9_000, { type: 'connected', peerId: 'peer-a' });
  equal(v.health(), 'alive');
  deepEqual(v.facts, ['member.joined', 'member.suspected', 'member.died', 'member.recovered']);
});

test('[M4] silence on a standing connection makes suspect, never dead, and one word revives', () => {
  const v = metA();
  for (let ms = 500; ms <= 60_000; ms += 500) v.at(ms, { type: 'tick' });
  equal(v.health(), 'suspect');
  v.at(60_100, { type: 'heard', peerId: 'peer-a' });
  equal(v.health(), 'alive');
});

test('[M4] a connection that stays silent is given up, once every ten seconds', () => {
  const v = metA();
  let hangUps = 0;
  for (let ms = 500; ms <= 35_000; ms += 500) {
    hangUps += kinds(v.at(ms, { type: 'tick' })).filter((kind) => kind === 'hang-up').length;
  }
  equal(hangUps, 3);
});

test('[M4] a failed request makes suspect, and its next word revives', () => {
  const v = metA();
  v.at(100, { type: 'suspected', id: a });
  equal(v.health(), 'suspect');
  v.at(600, { type: 'heard', peerId: 'peer-a' });
  equal(v.health(), 'alive');
});

test('[M5] left is final for its incarnation; a higher one revives', () => {
  const v = metA();
  const record = { type: 'recorded', id: a, peerId: 'peer-a', incarnation: 5, left: false } as const;
  v.at(100, record);
  v.at(200, { ...record, left: true });
  equal(v.health(), 'left');
  equal(isAdmitted(v.state, 'peer-a'), false);
  v.at(300, { ...record, incarnation: 4 });
  deepEqual(kinds(v.at(400, { type: 'connected', peerId: 'peer-a' })), ['hang-up']);
  equal(v.health(), 'left');
  v.at(500, { ...record, incarnation: 6 });
  equal(v.health(), 'alive');
});

test('[M5] an instance whose tags no longer say left is met again, once the tags had time to settle', () => {
  const v = metA();
  v.at(100, { type: 'recorded', id: a, peerId: 'peer-a', incarnation: 5, left: true });
  v.at(2_000, { type: 'looked', listed: [listed('a')] });
  equal(v.health(), 'left');
  v.at(30_000, { type: 'looked', listed: [listed('a')] });
  equal(v.health(), 'unknown');
  equal(isAdmitted(v.state, 'peer-a'), true);
});

test('[M6] redials back off, stay bounded, and never stop while EC2 lists the instance', () => {
  const v = view();
  v.at(0, { type: 'tick' });
  v.at(10, { type: 'looked', listed: [listed('a')] });
  const dialledAt: number[] = [];
  for (let ms = 0; ms < 600_000; ms += 500) {
    v.at(ms, { type: 'dial-failed', id: a, refused: false });
    if (kinds(v.at(ms, { type: 'tick' })).includes('dial')) dialledAt.push(ms);
  }
  ok(dialledAt.length > 60 && dialledAt.length < 400, `${dialledAt.length} dials in ten minutes`);
  ok(dialledAt.at(-1)! > 580_000);
});

test('[M7] exactly the peer ids of listed instances are admitted', () => {
  const v = view();
  v.at(0, { type: 'tick' });
  v.at(10, {
    type: 'looked',
    listed: [listed('a'), listed('gone', { left: true }), listed('new', { peerId: null })],
  });
  deepEqual(
    ['peer-a', 'peer-gone', 'peer-new', 'peer-x'].map((id) => isAdmitted(v.state, id)),
    [true, false, false, false],
  );
});

test('[M7] strangers cause at most one look a second', () => {
  const v = view();
  v.at(0, { type: 'tick' });
  v.at(5, { type: 'looked', listed: [] });
  let looks = 0;
  for (let ms = 10; ms < 10_010; ms += 10) {
    const effects = [...v.at(ms, { type: 'stranger' }), ...v.at(ms, { type: 'tick' })];
    const count = kinds(effects).filter((kind) => kind === 'look').length;
    if (count > 0) v.at(ms, { type: 'looked', listed: [] });
    looks += count;
  }
  ok(looks >= 9 && looks <= 10, `${looks} looks in ten seconds`);
});

test('[M8] an instance that three complete answers did not list is forgotten', () => {
  const v = view();
  v.at(0, { type: 'tick' });
  v.at(10, { type: 'looked', listed: [listed('a')] });
  v.at(20, { type: 'looked', listed: [] });
  v.at(30, { type: 'looked', listed: [] });
  equal(v.state.members.size, 1);
  v.at(40, { type: 'looked', listed: [] });
  equal(v.state.members.size, 0);
});

test('[M9] a stall of our own accuses nobody', () => {
  const v = metA();
  v.at(500, { type: 'tick' });
  v.at(30_000, { type: 'tick' });
  equal(v.health(), 'alive');
  for (let ms = 30_500; ms < 34_000; ms += 500) v.at(ms, { type: 'tick' });
  equal(v.health(), 'suspect');
});

test('[M10] members beyond the bound are reported, not kept', () => {
  const v = view();
  v.at(0, { type: 'tick' });
  v.at(10, { type: 'looked', listed: Array.from({ length: 1_200 }, (_, i) => listed(`n${i}`)) });
  equal(v.state.members.size, 1_000);
  ok(v.facts.includes('discovery.overfull'));
});

test('an instance that comes back with another key is another member under the same id', () => {
  const v = metA();
  v.at(100, { type: 'disconnected', peerId: 'peer-a' });
  v.at(200, { type: 'looked', listed: [listed('a', { peerId: 'peer-a2' })] });
  equal(v.health(), 'unknown');
  equal(byPeerId(v.state, 'peer-a'), undefined);
});

test('events about nobody change nothing', () => {
  const v = view();
  for (const type of ['disconnected', 'heard'] as const) v.at(5, { type, peerId: 'nobody' });
  v.at(6, { type: 'suspected', id: a });
  v.at(7, { type: 'dial-failed', id: a, refused: true });
  v.at(8, { type: 'recorded', id: a, peerId: 'peer-a', incarnation: 1, left: true });
  equal(v.state.members.size, 0);
});
