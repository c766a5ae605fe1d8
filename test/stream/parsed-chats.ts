/** Chats that reason and call, as the engine of `parsing-engine.ts` answers them. */
import type { Ability } from '../../src/std/ability.ts';
import { gathered } from './conversation.ts';

export const ability: Ability = {
  scaleOut: true,
  keyedByPosition: false,
  repeatable: true,
  neutralPenalties: true,
  showsSpecials: false,
};
const tools = [{ type: 'function', function: { name: 'weather', parameters: {} } }];
const body = { model: 'tiny', messages: [{ role: 'user', content: 'weather?' }], stream: true };
const usage = { stream_options: { include_usage: true } };

export const scenarios = {
  'a chat with calls': { ...body, tools },
  'a chat with calls, usage and ids': {
    ...body,
    ...usage,
    tools,
    tool_choice: 'auto',
    return_token_ids: true,
  },
  'a chat with calls that is cut short': { ...body, ...usage, tools, max_tokens: 17 },
  'a plain chat that turns to reasoning': body,
  'a chat with calls that opens no turn': { ...body, tools, add_generation_prompt: false },
  'a plain chat that turns to reasoning, with usage and ids': { ...body, ...usage, return_token_ids: true },
};

type Delta = {
  readonly reasoning?: string;
  readonly tool_calls?: readonly {
    readonly index: number;
    readonly id?: string;
    readonly function: { readonly name?: string; readonly arguments?: string };
  }[];
};

/** What a client can put together from it, of reasoning and calls too. */
export function understood(sent: readonly string[]) {
  const chunks = sent
    .filter((data) => data !== '[DONE]')
    .map((data) => JSON.parse(data) as { choices?: readonly { delta: Delta }[] });
  const deltas = chunks.flatMap(({ choices }) => choices ?? []).map(({ delta }) => delta);
  const calls: Record<number, { name: string; args: string; ids: number }> = {};
  for (const part of deltas.flatMap(({ tool_calls }) => tool_calls ?? [])) {
    const one = (calls[part.index] ??= { name: '', args: '', ids: 0 });
    one.name += part.function.name ?? '';
    one.args += part.function.arguments ?? '';
    one.ids += part.id === undefined ? 0 : 1;
  }
  const reasoning = deltas.map((delta) => delta.reasoning ?? '').join('');
  return { ...gathered(sent), reasoning, calls };
}
