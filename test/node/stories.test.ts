import { deepEqual, doesNotMatch, equal, match, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { streamText } from '../../src/cli/explained-stream.ts';
import { openStreamExplainer } from '../../src/node/explain-stream.ts';
import type { AskMember } from '../../src/node/finding.ts';
import { openStories, type Live, type Story } from '../../src/node/stories.ts';
import { streamSight } from '../../src/node/stream-explanation.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import { VirtualClock } from './world.ts';

const [a, b, c] = [memberId('i-a'), memberId('i-b'), memberId('i-c')];
const live: Live = { ways: ['ids'], tokens: 7, serving: b, replicas: [b, c], copies: 2 };
const about = (stream: string) =>
  ({ stream, request: `req-${stream}`, model: 'tiny', protection: 'exact', resumed: false }) as const;
const carried = { way: 'ids', tokens: 5, stallMs: 810, cause: 'silence' } as const;
const moved = { fact: 'stream.moved', from: b, to: c, ...carried } as const;

/** Nodes that know streams, and answer one another unless they are silent. */
function cluster(clock: VirtualClock, copies: Readonly<Record<string, MemberId>> = {}) {
  const silent = new Set<MemberId>();
  const asked: MemberId[] = [];
  const nodes = [a, b, c].map((self) => {
    const stories = openStories(self, clock);
    const ask: AskMember = (member, message, _withinMs, tell) => {
      asked.push(member);
      const node = nodes.find((one) => one.self === member);
      queueMicrotask(() => tell(silent.has(member) ? null : (node?.explainer.answer(message) ?? null)));
    };
    const entry = copies[self];
    const journals = { copyOf: () => (entry === undefined ? null : { entry, ended: false }) };
    const others = () => [a, b, c].filter((member) => member !== self);
    return { self, stories, explainer: openStreamExplainer({ self, stories, journals, others, ask }) };
  });
  return { nodes, silent, asked };
}

test('whichever node is asked, a stream is found where it entered, by any of its names', async () => {
  const clock = new VirtualClock();
  const { nodes } = cluster(clock, { [c]: a });
  nodes[0]!.stories.begin(about('s1'), () => live).hear(moved);
  await clock.run(1_000);
  for (const { explainer } of nodes)
    for (const id of ['s1', 'req-s1', 'chatcmpl-req-s1', 'cmpl-req-s1']) {
      const { stories, copies, silent } = await explainer.explain(id);
      equal(stories.length, 1);
      const { entry, state, serving, steps, begunMs, endedMs } = stories[0]!;
      deepEqual([entry, state, serving, begunMs, endedMs], ['i-a', 'running', 'i-b', 1_000, null]);
      deepEqual(steps, [{ type: 'moved', choice: null, from: 'i-b', to: 'i-c', ...carried, ageMs: 1_000 }]);
      deepEqual([copies, silent], [[{ member: 'i-c', entry: 'i-a', ended: false }], []]);
    }
});

test('a stream whose entry node is silent is known by who holds its log', async () => {
  const { nodes, silent } = cluster(new VirtualClock(), { [c]: a });
  silent.add(a);
  const { stories, copies, silent: quiet } = await nodes[1]!.explainer.explain('s1');
  deepEqual([stories, copies, quiet], [[], [{ member: 'i-c', entry: 'i-a', ended: false }], ['i-a']]);
});

test('of one that nobody knows it is told how many were asked, and who did not answer', async () => {
  const { nodes, silent } = cluster(new VirtualClock());
  silent.add(c);
  await rejects(nodes[0]!.explainer.explain('s9'), {
    kind: 'missing',
    message: 'stream s9: not known to 2 nodes, and 1 more did not answer',
  });
  silent.add(b);
  await rejects(nodes[0]!.explainer.explain('s9'), {
    message: 'stream s9: not known to 1 node, and 2 more did not answer',
  });
});

test('what ended stays as it was at its end, for a bounded number of streams', async () => {
  const clock = new VirtualClock();
  const stories = openStories(a, clock);
  let tokens = 1;
  const story: Story = stories.begin(about('s0'), () => ({ ...live, tokens }));
  tokens = 9;
  story.hear({ fact: 'stream.failed', cause: 'reset', model: 'tiny', tokens, moves: 0 });
  tokens = 50;
  await clock.run(300);
  story.end('refused', null);
  const [told] = stories.find('s0');
  deepEqual([told?.state, told?.why, told?.tokens, told?.endedMs], ['failed', 'reset', 9, 300]);
  for (let i = 1; i <= 1_000; i++) stories.begin(about(`s${i}`), () => live).end('finished', null);
  deepEqual([stories.find('s0').length, stories.find('s1').length, stories.find('s1000').length], [0, 1, 1]);
});

test('of a stream that moves without end the last moves are told', () => {
  const stories = openStories(a, new VirtualClock());
  const story = stories.begin(about('s0'), () => live);
  for (let tokens = 0; tokens < 100; tokens++) story.hear({ ...moved, tokens });
  const tokens = stories.find('s0')[0]!.steps.map((step) => step.type === 'moved' && step.tokens);
  deepEqual([tokens.length, tokens[0], tokens.at(-1)], [32, 68, 99]);
});

test('of several choices it is told which one moved, and by which way each goes on', async () => {
  const { nodes } = cluster(new VirtualClock());
  const choir: Live = { ...live, ways: ['ids', 'derender', 'ids'] };
  const story = nodes[0]!.stories.begin(about('s1'), () => choir);
  story.hear({ ...moved, choice: 2 });
  story.hear({ fact: 'stream.unanswered', member: c, cause: 'suspect', waitedMs: 40, tokens: 0, choice: 1 });
  const explanation = await nodes[1]!.explainer.explain('s1');
  const [told] = explanation.stories;
  deepEqual([told?.way, told?.ways], ['ids', ['ids', 'derender', 'ids']]);
  deepEqual(
    told?.steps.map(({ type, choice }) => [type, choice]),
    [
      ['moved', 2],
      ['unanswered', 1],
    ],
  );
  const text = streamText(explanation);
  match(text, /protected +exact: choices 0, 2 by ids, continued from its token ids\n/);
  match(text, /\n +exact: choice 1 by derender, rendered/);
  match(text, /steps +choice 2: i-b -> i-c: silence, after 5 tokens, by ids/);
  match(text, /\n +choice 1: i-c did not answer: suspect/);
});

test('of a single choice, or of a node that tells of the first one only, no choice is named', () => {
  const stories = openStories(a, new VirtualClock());
  stories.begin(about('s1'), () => live).hear(moved);
  const [told] = stories.find('s1');
  const { ways: _, steps, ...rest } = told!;
  // As a node says it that knows neither.
  const older = { ...rest, steps: steps.map(({ choice: _, ...step }) => step) };
  for (const story of [told, older]) {
    const { stories: read } = streamSight.parse({ stories: [story], copy: null });
    const text = streamText({ id: 's1', stories: read, copies: [], silent: [] });
    match(text, /exact: ids, continued/);
    doesNotMatch(text, /choice/);
  }
});
