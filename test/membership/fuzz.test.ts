/** Whatever one member says, with an operator and strangers to help it: the detector stands, stays small and believes others. */
import { deepEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Effect, Event } from '../../src/membership/events.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import { binding, idOf, peerOf, View } from './view.ts';

/** Number 0 is ourselves. The mute ones are connected and say nothing; of the last, no probe is answered. */
const [liar, talking, mute, dark, operator] = [1, [2, 3, 4], 5, 6, 7];
const honest = [...talking, mute, dark];
const silentFor = [mute, dark];

const anyId = fc.oneof(
  fc.constantFrom(0, liar, ...honest, operator).map(idOf),
  fc.constant(memberId('i-of-nobody')),
);
const wild = fc.oneof(fc.integer({ min: 0, max: 6 }), fc.maxSafeNat());
/** Votes count for their sealers, so nobody but these has one to cast: honest ones cast none here. */
const by = fc.constantFrom(idOf(liar), idOf(liar), idOf(operator), memberId('i-of-nobody'));
const hand = fc.constantFrom(peerOf(liar), peerOf(liar), peerOf(operator), 'peer-of-nobody');
/** As often as not about what is true, or it would be passed over for that. */
const incarnation = fc.oneof(fc.constant(1), fc.constant(5), wild);
const evidence = fc.constantFrom('refused', 'timeout', 'slow', 'alive');

/** Votes are most of it, and a stamp is most often one that grows. */
const said: fc.Arbitrary<(now: number) => Event> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({ by, subject: anyId, incarnation, evidence, life: wild, at: fc.option(wild) })
      .map(({ by, at, ...vote }) => (now: number): Event => {
        return { type: 'voted', by, vote: { ...vote, sequence: at ?? now } };
      }),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({ by, id: anyId, incarnation, says: fc.constantFrom('dead', 'nothing') })
      .map((rumour) => (): Event => ({ type: 'rumoured', ...rumour })),
  },
  fc.record({ by, incarnation }).map((accused) => (): Event => ({ type: 'accused', ...accused })),
  fc.record({ peerId: hand, stamp: wild }).map((beat) => (): Event => ({ type: 'beat', ...beat })),
  hand.map((peerId) => (): Event => ({ type: 'heard', peerId })),
  fc.record({ peerId: hand, on: fc.boolean() }).map((watch) => (): Event => ({ type: 'watch', ...watch })),
  hand.map((peerId) => (): Event => ({ type: 'connected', peerId })),
  hand.map((peerId) => (): Event => ({ type: 'disconnected', peerId })),
  fc
    .record({ incarnation, left: fc.boolean() })
    .map((own) => (): Event => ({ type: 'recorded', id: idOf(liar), ...own })),
);

const script = fc.array(fc.tuple(said, fc.constantFrom(0, 0, 1, 20, 250, 700, 2_500)), {
  maxLength: 150,
  size: 'max',
});

test('[M6] [M7] [M11] [M12] no order of votes, rumours, accusations and beats of one member kills another, raises our incarnation or grows the state', () => {
  fc.assert(
    fc.property(script, (events) => {
      const view = cluster();
      for (const [make, ms] of events) {
        const effects = answered(view, make(view.now));
        ok(effects.length <= 20, `${effects.length} effects`);
        verify(view);
        pass(view, ms);
        verify(view);
      }
    }),
    { numRuns: 150 },
  );
});

function cluster(): View {
  const view = View.connected(6);
  view.give({ type: 'bound', binding: binding(operator, { voter: false }) });
  view.give({ type: 'connected', peerId: peerOf(operator) });
  return view;
}

/** Kernels answer at once, but that of the dark one; and who is dialled has none to talk to. */
function answered(view: View, event: Event): readonly Effect[] {
  const effects = view.give(event);
  for (const effect of effects) {
    if (effect.type === 'probe') {
      const outcome = effect.id === idOf(dark) ? 'silent' : 'answered';
      answered(view, { type: 'probed', id: effect.id, round: effect.round, outcomes: [outcome, outcome] });
    } else if (effect.type === 'dial') {
      const { id, peerId } = effect;
      answered(view, { type: 'dial-failed', id, peerId, why: 'denied' });
    } else if (effect.type === 'hang-up') {
      answered(view, { type: 'disconnected', peerId: effect.peerId });
    }
  }
  return effects;
}

function pass(view: View, ms: number): void {
  for (const end = view.now + ms; view.now < end; view.now++) {
    if (view.now % 250 === 0)
      for (const number of talking) answered(view, { type: 'beat', peerId: peerOf(number), stamp: view.now });
    if (view.state.wakeAt <= view.now) answered(view, { type: 'tick' });
  }
}

function verify(view: View): void {
  const { state, effects } = view;
  const healths = (numbers: readonly number[]) => numbers.map((number) => view.health(number));
  deepEqual(healths(talking), ['alive', 'alive', 'alive']);
  ok(
    silentFor.every((number) => ['alive', 'suspect'].includes(view.health(number)!)),
    `${healths(silentFor)}`,
  );
  ok(!effects.some(({ type }) => type === 'refute'), 'our incarnation rose');
  deepEqual(
    honest.map((number) => view.member(number).incarnation),
    honest.map(() => 1),
  );
  for (const told of [state.rumours, state.contested])
    for (const { holders } of told.values()) onlyOf([liar], [...holders.keys()]);
  onlyOf([liar], [...state.accusers.keys()]);
  for (const { poll, heardVotes } of [state.self, ...state.members.values()]) {
    onlyOf([0, liar], [...(poll?.ballots.keys() ?? [])]);
    ok((heardVotes?.newest.length ?? 0) <= 64);
  }
  ok(state.watchers.length <= 2 && state.watches.size <= 7);
}

const onlyOf = (numbers: readonly number[], ids: readonly MemberId[]): void =>
  ok(
    ids.every((id) => numbers.map(idOf).includes(id)),
    `${ids}`,
  );
