import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { memberId } from '../../src/std/member-id.ts';
import { readItem } from '../../src/stream/chunk.ts';
import { answerTokensIn, tally } from '../../src/stream/tally.ts';
import { ask, converse, lead } from './conversation.ts';
import { script, whole } from './counting.ts';

const choice = (index: number, content: string, more: object = {}): object => ({
  ...{ index, delta: { content }, finish_reason: null, ...more },
});
const event = (choices: readonly object[], more: object = {}): string =>
  JSON.stringify({ id: 'c', created: 1, model: 'tiny', choices, ...more });

/** After each of them. */
function tallied(events: readonly string[]): readonly number[] {
  let tokens = 0;
  return events.map((data) => {
    const item = readItem(data);
    if (item.type === 'chunk') tokens = tally(tokens, item.chunk);
    return tokens;
  });
}

/** What the fact says that ends the answer. */
const tokensOf = ({ facts }: ReturnType<typeof converse>): unknown => {
  const last = facts.at(-1);
  return last !== undefined && 'tokens' in last ? last.tokens : null;
};

test('each piece of an answer that is passed on counts as a token, or as its ids, until the answer says the number', () => {
  const events = [
    event([choice(0, '')]),
    event([choice(0, 'One')]),
    event([choice(0, ' two'), choice(1, 'Uno')]),
    event([choice(0, '', { delta: { tool_calls: [{ index: 0 }] } })]),
    event([choice(0, ' three', { token_ids: [1, 2, 3] })]),
    event([choice(1, ' dos')], { usage: { completion_tokens: 2 } }),
    event([choice(1, ' tres')], { usage: { completion_tokens: 40 } }),
    event([], { usage: { completion_tokens: 43 } }),
    event([], { usage: { completion_tokens: 'many' } }),
  ];
  deepEqual(tallied(events), [0, 1, 3, 4, 7, 8, 40, 43, 43]);
});

test('the last number that an answer says is its own', () => {
  equal(answerTokensIn('{"usage":{"output_tokens":1}}{"usage": {"output_tokens": 12}}'), 12);
  equal(answerTokensIn('{"text":"\\"completion_tokens\\": 9"}'), null);
});

test('what is passed on untouched tells its tokens at its end, streamed, in one piece, or broken off', () => {
  equal(tokensOf(converse(whole(), script, [])), 7);
  equal(tokensOf(converse(whole(), script, [{ after: 3, by: 'reset' }])), 2);
  const led = lead(whole({ stream: false }));
  led.at(0, { type: 'begin' });
  led.at(0, { type: 'placed', leg: 1, member: memberId('a') });
  const body = '{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":31}}';
  const [, ending] = led.at(50, { type: 'answer', leg: 1, status: 200, body });
  equal(ending?.type === 'fact' && 'tokens' in ending.fact && ending.fact.tokens, 31);
});

test('what is asked again counts no token twice', () => {
  const request = () => ask('chat', { model: 'tiny', messages: [], stream: true, seed: 7, logprobs: true });
  equal(request().way, 'replay');
  const once = tokensOf(converse(request(), script, []));
  equal(once, 7);
  equal(tokensOf(converse(request(), script, [{ after: 4, by: 'reset' }])), once);
});
