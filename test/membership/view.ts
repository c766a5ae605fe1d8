import { ok } from 'node:assert/strict';
import { deadline, step } from '../../src/membership/detector.ts';
import type { Binding, Effect, Event, Evidence, Vote } from '../../src/membership/events.ts';
import { memberOf, members } from '../../src/membership/explanation.ts';
import { observersOf } from '../../src/membership/rings.ts';
import { init, type State } from '../../src/membership/state.ts';
import { isLiving, type Member } from '../../src/membership/member.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import { instant } from '../../src/std/time.ts';

export const idOf = (number: number): MemberId => memberId(`i-${String(number).padStart(4, '0')}`);
export const peerOf = (number: number): string => `peer-${number}`;

export const binding = (number: number, more: Partial<Binding> = {}): Binding => ({
  id: idOf(number),
  peerId: peerOf(number),
  address: { host: `10.0.0.${number}`, port: 4001 },
  zone: 'z',
  voter: true,
  ...more,
});

/** One machine, number 0, with a clock of its own; ticks come when they are asked for. */
export class View {
  readonly state: State;
  now = 0;
  readonly effects: Effect[] = [];

  constructor(others: number, options: { readonly voter?: boolean } = {}) {
    const { id, ...rest } = binding(0, options);
    const identity = { selfId: id, ...rest, incarnation: 5, sequence: 100, epochOffsetMs: 0 };
    this.state = init(identity, { seed: 3 }, instant(0));
    for (let number = 1; number <= others; number++) {
      this.give({ type: 'bound', binding: binding(number) });
    }
  }

  /** With `others` connected, known by record, and beating. */
  static connected(others: number): View {
    const view = new View(others);
    for (let number = 1; number <= others; number++) {
      view.give({ type: 'connected', peerId: peerOf(number) });
      view.give({ type: 'recorded', id: idOf(number), incarnation: 1, left: false });
    }
    view.pass(1_500);
    return view;
  }

  give(event: Event): readonly Effect[] {
    const [, effects] = step(this.state, event, instant(this.now));
    this.effects.push(...effects);
    return effects;
  }

  /** Ticks when asked, and lets everyone connected but `mute` beat each 250 ms. */
  pass(ms: number, mute: readonly number[] = []): readonly Effect[] {
    const from = this.effects.length;
    for (const end = this.now + ms; this.now < end; this.now++) {
      if (this.now % 250 === 0) this.beats(mute);
      if (deadline(this.state) <= this.now) this.give({ type: 'tick' });
    }
    return this.effects.slice(from);
  }

  beats(mute: readonly number[]): void {
    for (const { peerId } of [...members(this.state)].filter(({ connected }) => connected)) {
      if (!mute.includes(Number(peerId.slice(5)))) this.give({ type: 'beat', peerId, stamp: this.now });
    }
  }

  member(number: number): Member {
    const member = memberOf(this.state, idOf(number));
    ok(member !== undefined);
    return member;
  }

  health(number: number): string | undefined {
    return memberOf(this.state, idOf(number))?.health;
  }

  observers(number: number): number[] {
    return observersOf(this.state.rings, this.member(number), isLiving).map(({ id }) => Number(id.slice(2)));
  }

  /** A vote by each of the observers, ourselves left out. */
  votes(
    number: number,
    evidence: Evidence | 'alive',
    voters: readonly number[],
    more: Partial<Vote> = {},
  ): void {
    for (const voter of voters) {
      this.#sequence = Math.max(this.#sequence + 1, this.now);
      const said = { subject: idOf(number), incarnation: 1, evidence };
      const vote = { ...said, life: 1, sequence: this.#sequence, ...more };
      this.give({ type: 'voted', by: idOf(voter), vote });
    }
  }

  #sequence = 0;
}

export const only = <T extends Effect['type']>(
  effects: readonly Effect[],
  type: T,
): Extract<Effect, { type: T }>[] =>
  effects.filter((effect) => effect.type === type) as Extract<Effect, { type: T }>[];

/** Somebody whom we do not observe, and its observers without ourselves. */
export function stranger(view: View): { readonly number: number; readonly observers: number[] } {
  const subjects = new Set(view.state.subjects.map(({ id }) => id));
  const one = [...members(view.state)].find(({ id }) => !subjects.has(id));
  ok(one !== undefined);
  const number = Number(one.id.slice(2));
  return { number, observers: view.observers(number) };
}
