/** The generation that most stories are told of: an engine counts to six, and a client listens. */
import type { Effect, StreamFact } from '../../src/stream/events.ts';
import { memberId } from '../../src/std/member-id.ts';
import { ask, lead } from './conversation.ts';
import { byteIds, eosId, wordId, type Script } from './scripted-engine.ts';

export const promptIds = byteIds('hello');
export const answer = ['One', ' two', ' three', ' four', ' five', ' six'].map(wordId);
export const script: Script = { promptIds, answer: [...answer, eosId], id: 'cmpl-first' };
export const text = 'One two three four five six';

export const messages = [{ role: 'user', content: 'count' }];
export const chat = (body: Record<string, unknown> = {}) =>
  ask('chat', { model: 'tiny', messages, stream: true, ...body });
export const whole = (body: Record<string, unknown> = {}) => chat({ logprobs: true, ...body });
export const bodyOf = (asked: readonly { readonly body: string }[], leg: number) =>
  JSON.parse(asked[leg]?.body ?? '{}') as Record<string, unknown>;
export const named = (facts: readonly StreamFact[]) => facts.map(({ fact }) => fact);
export const types = (effects: readonly Effect[]) => effects.map(({ type }) => type);
export const chunk = (id: number, said: string): string =>
  JSON.stringify({
    id: 'c',
    created: 1,
    model: 'tiny',
    choices: [{ index: 0, delta: { content: said }, finish_reason: null, token_ids: [id] }],
    prompt_token_ids: promptIds,
  });

/** A generation that has been placed on `a` and has said its first word at 100 ms. */
export function flowing(request = chat()) {
  const led = lead(request);
  led.at(0, { type: 'begin' });
  led.at(0, { type: 'placed', leg: 1, member: memberId('a') });
  led.at(5, { type: 'answered', leg: 1 });
  led.item(100, 1, chunk(answer[0]!, 'One'));
  return led;
}
