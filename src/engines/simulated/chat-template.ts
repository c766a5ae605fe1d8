/** Messages to the text that the model reads: ChatML, with tools told in a system turn as Hermes models learn them. */
import { Fields, isObject, type Json, type JsonObject } from './body.ts';
import { badRequest } from './refusal.ts';

type Message = { readonly role: string; readonly content: string };

export type Conversation = {
  readonly messages: readonly Message[];
  readonly tools: readonly Json[];
  /** The text ends with the opening of the assistant's turn. */
  readonly opensTurn: boolean;
  /** The last message is left open, to be continued. */
  readonly continuesLast: boolean;
};

export function readConversation(fields: Fields): Conversation {
  const raw = fields.require('messages');
  const list = raw === null ? [] : fields.list('messages', isObject, 'dict');
  const messages = list.map((one, i) => readMessage(fields, one as JsonObject, i));
  return {
    messages,
    tools: fields.list('tools', isObject, 'dict'),
    opensTurn: fields.boolean('add_generation_prompt') ?? true,
    continuesLast: fields.boolean('continue_final_message') ?? false,
  };
}

function readMessage(fields: Fields, message: JsonObject, i: number): Message {
  const role = message['role'];
  if (typeof role !== 'string') {
    const msg = 'Field required';
    fields.complain({ type: 'missing', name: `messages.${i}.role`, msg, input: message });
    return { role: '', content: '' };
  }
  const calls = message['tool_calls'];
  const called = Array.isArray(calls) ? calls.map((call) => callText(call as Json)).join('') : '';
  return { role, content: contentText(fields, message['content'] ?? null, i) + called };
}

function contentText(fields: Fields, content: Json, i: number): string {
  if (content === null) return '';
  if (typeof content === 'string') return content;
  const parts = Array.isArray(content) ? (content as readonly Json[]) : null;
  if (parts === null || !parts.every(isObject)) {
    const msg = 'Input should be a valid string';
    fields.complain({ type: 'string_type', name: `messages.${i}.content`, msg, input: content });
    return '';
  }
  return parts.map((part) => partText(part)).join('\n');
}

function partText(part: JsonObject): string {
  if (part['type'] === 'text') return String(part['text'] ?? '');
  throw badRequest('simulated is not a multimodal model');
}

function callText(call: Json): string {
  const asked = isObject(call) && isObject(call['function']) ? call['function'] : {};
  const given = asked['arguments'] ?? {};
  const text = typeof given === 'string' ? given : JSON.stringify(given);
  return `\n<tool_call>\n{"name": ${JSON.stringify(asked['name'] ?? '')}, "arguments": ${text}}\n</tool_call>`;
}

export function renderConversation({ messages, tools, opensTurn, continuesLast }: Conversation): string {
  const told = tools.length === 0 ? '' : `<|im_start|>system\n${toolsText(tools)}<|im_end|>\n`;
  const turns = messages.map(({ role, content }, i) => {
    const end = continuesLast && i === messages.length - 1 ? '' : '<|im_end|>\n';
    return `<|im_start|>${role === 'tool' ? 'user' : role}\n${content}${end}`;
  });
  return told + turns.join('') + (opensTurn ? '<|im_start|>assistant\n' : '');
}

const toolsText = (tools: readonly Json[]): string =>
  `# Tools\n<tools>\n${tools.map((tool) => JSON.stringify(tool)).join('\n')}\n</tools>\n` +
  'Answer with <tool_call>{"name": N, "arguments": A}</tool_call>.';
