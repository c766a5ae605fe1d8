/** One registry with its clock in hand, and members that sign without cryptography. */
import type { Effect, Event, RegistryMessage } from '../../src/registry/events.ts';
import type { NodeRecord } from '../../src/registry/record.ts';
import { step } from '../../src/registry/records.ts';
import { sealRecord, type Signed } from '../../src/registry/sealed.ts';
import { init, type State } from '../../src/registry/state.ts';
import { fnv1a } from '../../src/std/hash.ts';
import { memberId } from '../../src/std/member-id.ts';
import type { Seal } from '../../src/std/seal.ts';
import { instant } from '../../src/std/time.ts';

export const record = (name: string, more: Partial<NodeRecord> = {}): NodeRecord => ({
  id: memberId(`i-${name}`),
  peerId: `peer-${name}`,
  incarnation: 1,
  sequence: 0,
  role: 'worker',
  zone: 'us-east-1a',
  version: '0.1.0',
  addresses: { peer: '10.0.0.1:4002', api: 'http://10.0.0.1:8000' },
  life: { phase: 'serving' },
  engine: { phase: 'ready', models: ['m'], contextTokens: 4_096 },
  ...more,
});

/** Holds what a real one holds: nobody but the peer makes its signature, and it is of one text. */
export const sealOf = (peerId: string): Seal => ({
  sign: (text) => signatureOf(peerId, text),
  verify: (owner, text, signature) => signature === signatureOf(owner, text),
});

const signatureOf = (peerId: string, text: string): string => (fnv1a(`${peerId} ${text}`) >>> 0).toString(16);

export const sealed = (of: NodeRecord): Signed => sealRecord(of, sealOf(of.peerId)).sealed;

export const told = (of: NodeRecord): RegistryMessage => ({ type: 'record', ...sealed(of) });

export type Rig = {
  readonly state: State;
  now: number;
  /** Delivers the event at `now` and returns what the registry wants done. */
  on(event: Event): readonly Effect[];
  /** A message on the direct stream of that member. */
  hear(name: string, message: RegistryMessage): readonly Effect[];
  bind(...names: readonly string[]): void;
  connect(...names: readonly string[]): void;
};

export function rig(own: NodeRecord = record('self')): Rig {
  const state = init(own, sealOf(own.peerId), { seed: 1 });
  const made: Rig = {
    state,
    now: 1_000,
    on: (event) => step(state, event, instant(made.now))[1],
    hear: (name, message) => made.on({ type: 'message', author: `peer-${name}`, message, via: 'direct' }),
    bind: (...names) => {
      for (const name of names) made.on({ type: 'bound', id: memberId(`i-${name}`), peerId: `peer-${name}` });
    },
    connect: (...names) => {
      for (const name of names) made.on({ type: 'connected', peerId: `peer-${name}` });
    },
  };
  return made;
}

export const typesOf = (effects: readonly Effect[]): readonly string[] =>
  effects.map((effect) =>
    effect.type === 'send' || effect.type === 'gossip'
      ? `${effect.type} ${effect.message.type}`
      : effect.type === 'fact'
        ? effect.fact.fact
        : effect.type,
  );

/** The messages sent to that member. */
export const sentTo = (name: string, effects: readonly Effect[]): readonly RegistryMessage[] =>
  effects.flatMap((effect) =>
    effect.type === 'send' && effect.peerId === `peer-${name}` ? [effect.message] : [],
  );
