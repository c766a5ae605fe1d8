/** Plain chats, whose every token follows from the prompt. */
import { expectedContinuation } from '../../../src/engines/simulated/model.ts';
import { decode } from '../../../src/engines/simulated/vocabulary.ts';
import { compare, type Accuracy } from './accuracy.ts';
import type { Chance } from './chance.ts';
import type { Heard } from './heard.ts';
import { load } from './plan.ts';
import type { Question } from './stream.ts';

const topics = ['spot', 'zone', 'token', 'drain', 'peer', 'gossip', 'lease', 'engine', 'stream', 'journal'];

export function plainQuestion(chance: Chance): Question {
  const topic = `${chance.of(topics)} ${chance.between(0, 9_999)} and ${chance.of(topics)}`;
  const tokens = chance.between(load.tokens.min, load.tokens.max);
  const body = {
    model: 'simulated',
    messages: [{ role: 'user', content: `Tell me about ${topic}.` }],
    max_tokens: tokens,
    temperature: 0,
    ignore_eos: true,
    return_token_ids: true,
  };
  return {
    name: 'plain',
    endpoint: 'chat',
    body,
    judge: (heard, complete) => judge(heard, complete ? tokens : null),
  };
}

/** `tokens`: how many it had to be; null: as many as there are. */
function judge({ promptIds, choices }: Heard, tokens: number | null): Accuracy {
  const { ids, text } = choices.get(0) ?? { ids: [], text: '' };
  const accuracy = compare(ids, expectedContinuation({ promptIds, count: tokens ?? ids.length }));
  // Right ids with another text would be a splice that only the reader sees.
  const isGarbled = tokens !== null && whole(text) !== whole(decode(ids, { skipSpecial: true }));
  return isGarbled && accuracy.wrong + accuracy.doubled === 0 ? { wrong: 1, doubled: 0 } : accuracy;
}

/** Without what is left of a character that max_tokens cut through: an engine keeps it to itself. */
const whole = (text: string): string => text.replace(/\uFFFD+$/, '');
