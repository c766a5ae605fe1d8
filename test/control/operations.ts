/** A node as the control API knows it: it remembers what it was told and can be made to wait or to refuse. */
import type { MemberExplanation } from '../../src/node/explanation.ts';
import type { NodeStatus, MemberStatus, Operations } from '../../src/node/operations.ts';
import type { StreamExplanation } from '../../src/node/stream-explanation.ts';
import { Failure } from '../../src/std/failure.ts';

export type FakeNode = Operations & {
  readonly told: string[];
  isolated: boolean;
  /** What `leave` waits for before it resolves. */
  leaving: Promise<void>;
};

export function fakeNode(options: { readonly id?: string; readonly zone?: string } = {}): FakeNode {
  let life: NodeStatus['life'] = { phase: 'serving' };
  const id = options.id ?? 'i-1';
  const zone = options.zone ?? 'zone-a';
  const node: FakeNode = {
    told: [],
    isolated: false,
    leaving: Promise.resolve(),
    status: () => ({
      id,
      peerId: '12D3KooW',
      cluster: 'blue',
      role: 'worker',
      zone,
      version: '1.2.3',
      pid: 42,
      upMs: 61_000,
      life,
      engine: {
        phase: 'ready',
        models: ['simulated'],
        contextTokens: 8_192,
        running: 3,
        waiting: 1,
        restarts: 0,
      },
      addresses: { api: 'http://127.0.0.1:8000', peer: '127.0.0.1:4002', p2p: '127.0.0.1:4001' },
      members: { alive: 2, suspect: 1 },
      streams: { entry: 2, serving: 3, moved: 1 },
    }),
    members: () => [member(id, zone, true), member('i-2', 'zone-b', false)],
    explainMember: (wanted) => Promise.resolve(wanted === 'i-2' ? explanation : null),
    explainStream: (wanted) =>
      wanted === streamStory.id
        ? Promise.resolve(streamStory)
        : Promise.reject(new Failure('missing', `stream ${wanted}: not known to 3 nodes`)),
    drain: (reason, withinMs) => {
      node.told.push(`drain ${reason} ${withinMs}`);
      // Who has no time has said goodbye by the time that it answers.
      life = withinMs === 0 ? { phase: 'left' } : { phase: 'draining', reason, deadline: 1_000 + withinMs };
    },
    leave: async (withinMs) => {
      node.told.push(`leave ${withinMs}`);
      await node.leaving;
      life = { phase: 'left' };
    },
  };
  return node;
}

const member = (id: string, zone: string, self: boolean): MemberStatus => ({
  id,
  peerId: `peer-${id}`,
  self,
  health: 'alive',
  phase: 'serving',
  role: 'worker',
  zone,
  version: '1.2.3',
  engine: 'ready',
  models: ['simulated'],
  load: self ? 4 : null,
  heardMs: self ? 0 : null,
});

/** A stream that went on twice and had its entry node taken away in between. */
const streamStory: StreamExplanation = {
  id: 'k3TtX',
  stories: [
    {
      ...{ entry: 'i-2', stream: 'k3TtX', request: 'req-7', model: 'simulated', state: 'running', why: null },
      ...{ resumed: true, way: 'ids', ways: ['ids'], protected: 'exact', tokens: 96, serving: 'i-3' },
      ...{ replicas: ['i-1', 'i-3'], copies: 2, begunMs: 4_200, endedMs: null },
      steps: [
        { type: 'unanswered', choice: null, member: 'i-4', cause: 'suspect', waitedMs: 540, ageMs: 3_000 },
        {
          ...{ type: 'moved', from: 'i-4', to: 'i-3', way: 'ids', cause: 'suspect', tokens: 60 },
          ...{ choice: null, stallMs: 612, ageMs: 2_900 },
        },
      ],
    },
    {
      ...{ entry: 'i-1', stream: 'k3TtX', request: 'req-6', model: 'simulated', state: 'handedOver' },
      ...{ why: 'taken', resumed: false, way: 'ids', protected: 'exact', tokens: 60, serving: 'i-4' },
      ...{ ways: ['ids'], replicas: [], copies: 0, begunMs: 9_000, endedMs: 4_100, steps: [] },
    },
  ],
  copies: [{ member: 'i-3', entry: 'i-2', ended: false }],
  silent: ['i-5'],
};

/** A member that some hold dead and that is only slow, by what this node knows. */
const explanation: MemberExplanation = {
  ...{ id: 'i-2', self: false, health: 'suspect', why: 'votes', sinceMs: 12_400 },
  binding: {
    ...{ peerId: 'peer-i-2', address: '10.0.0.2:4001', zone: 'zone-b', role: 'worker' },
    ...{ ageMs: 3_600_000, absences: 0, claims: [{ by: 'i-5', ageMs: 2_000 }] },
  },
  record: {
    ...{ incarnation: 1_700_000_000, sequence: 7, role: 'worker', version: '1.2.3' },
    ...{ phase: 'serving', engine: 'ready', ageMs: 600_000, from: 'i-2' },
  },
  connection: { connected: true, heardMs: 12_900, dial: null },
  observation: {
    ...{ observers: ['i-1', 'i-3', 'i-4'], weObserveIt: true, itObservesUs: false, doubt: 'silent' },
    finding: { evidence: 'slow', ageMs: 300 },
  },
  votes: [
    { by: 'i-3', evidence: 'slow', ageMs: 900, expiresInMs: 39_100 },
    { by: 'i-1', evidence: 'slow', ageMs: 1_200, expiresInMs: 38_800 },
  ],
  deadAccordingTo: [{ by: 'i-4', ageMs: 5_000 }],
};
