/** Streams: which chunks come in which order with which keys, and the traps of cut characters and stop strings. */
import { shapeOf, type Json } from './shape.ts';
import {
  chat,
  completion,
  eos,
  exchange,
  forced,
  get,
  idsIn,
  idsOf,
  idsOfBytes,
  piecesOf,
  textOf,
  tokensByChoice,
  usageIsExact,
  type Exchange,
  type Talk,
} from './exchange.ts';
import { eventsOf, type Answer } from './talk.ts';
import { until } from './until.ts';

const ids = { stream: true, return_token_ids: true };
const usage = { stream_options: { include_usage: true } };
const continuousUsage = { stream_options: { include_usage: true, continuous_usage_stats: true } };
const [letterA] = idsOf('a') as [number];
/** 世 */
const [lead, second, last] = idsOfBytes(0xe4, 0xb8, 0x96) as [number, number, number];
const texts = (answer: Answer): Json => ({ text: textOf(answer), tokens: idsIn(answer).length });

export const streaming: readonly Exchange[] = [
  exchange('stream-completion', completion({ stream: true })),
  exchange('stream-completion-ids', completion(ids), tokensByChoice),
  exchange('stream-completion-ids-usage', completion({ ...ids, ...usage }), usageIsExact),
  exchange('stream-completion-continuous-usage', completion({ ...ids, ...continuousUsage }), usageIsExact),
  exchange('stream-completion-one-token', completion({ ...ids, max_tokens: 1 }), tokensByChoice),
  exchange('stream-completion-n2', completion({ ...ids, n: 2, temperature: 0.8, seed: 7 }), tokensByChoice),
  exchange('stream-completion-two-prompts', completion({ ...ids, prompt: ['hello', 'the'] }), tokensByChoice),
  exchange('stream-completion-echo', completion({ stream: true, echo: true }), (answer) => ({
    beginsWithPrompt: (piecesOf(answer)[0]?.text ?? '').startsWith('hello the'),
  })),
  exchange('stream-completion-echo-ids', completion({ ...ids, echo: true }), (answer) => ({
    beginsWithPrompt: (piecesOf(answer)[0]?.text ?? '').startsWith('hello the'),
  })),
  exchange('stream-completion-logprobs', completion({ ...ids, logprobs: 2 })),
  exchange(
    'stream-completion-token-ids-as-text',
    completion({
      stream: true,
      logprobs: 1,
      return_tokens_as_token_ids: true,
    }),
    namesTokensById,
  ),
  exchange('stream-chat', chat({ stream: true })),
  exchange('stream-chat-ids', chat(ids), tokensByChoice),
  exchange('stream-chat-ids-usage', chat({ ...ids, ...usage }), usageIsExact),
  exchange('stream-chat-continuous-usage', chat({ ...ids, ...continuousUsage }), usageIsExact),
  exchange('stream-chat-n2', chat({ ...ids, n: 2, temperature: 0.8, seed: 7 }), tokensByChoice),
  exchange('stream-chat-logprobs', chat({ ...ids, logprobs: true, top_logprobs: 2 })),
  exchange(
    'stream-chat-max-completion-tokens',
    chat({
      ...ids,
      max_tokens: undefined,
      max_completion_tokens: 2,
    }),
    tokensByChoice,
  ),
  exchange('stream-request-id', completion({ stream: true }, { 'x-request-id': 'gateway-42' })),

  exchange('stream-ends-by-eos', completion({ ...ids, ignore_eos: false, ...forced(eos) }), texts),
  exchange('stream-ends-by-eos-chat', chat({ ...ids, ignore_eos: false, ...forced(eos) }), texts),
  exchange(
    'stream-eos-shown',
    completion({
      ...ids,
      ignore_eos: false,
      skip_special_tokens: false,
      ...forced(eos),
    }),
    texts,
  ),
  exchange('stream-ignores-eos', completion({ ...ids, ...forced(eos) }), texts),
  exchange(
    'stream-min-tokens',
    completion({
      ...ids,
      ignore_eos: false,
      min_tokens: 4,
      ...forced(eos),
    }),
    tokensByChoice,
  ),
  exchange('stream-stop-token', completion({ ...ids, stop_token_ids: [letterA], ...forced(letterA) }), texts),

  exchange('stream-utf8-cut-by-max-tokens', completion({ ...ids, max_tokens: 1, ...forced(lead) }), texts),
  exchange('stream-utf8-invalid', completion({ ...ids, max_tokens: 3, ...forced(lead) }), texts),
  exchange(
    'stream-utf8-prompt-cut',
    completion({
      ...ids,
      prompt: [...idsOf('hello '), lead, second],
      max_tokens: 1,
      ...forced(last),
    }),
    texts,
  ),
  exchange(
    'stream-utf8-prompt-cut-early',
    completion({
      ...ids,
      prompt: [...idsOf('hello '), lead],
      max_tokens: 2,
      ...forced(second),
    }),
    texts,
  ),

  exchange(
    'stream-stop-string-held-back',
    completion({
      ...ids,
      max_tokens: 12,
      stop: ['@@@@@@'],
      ...forced(letterA),
    }),
    (answer) => ({ heldBack: heldBack(answer), text: textOf(answer) }),
  ),
  exchange(
    'stream-stop-string-included-not-held',
    completion({
      ...ids,
      max_tokens: 12,
      stop: ['@@@@@@'],
      include_stop_str_in_output: true,
      ...forced(letterA),
    }),
    (answer) => ({ heldBack: heldBack(answer), text: textOf(answer) }),
  ),
  { name: 'stream-stop-string', engine: 'plain', play: (talk) => stopString(talk, false) },
  { name: 'stream-stop-string-included', engine: 'plain', play: (talk) => stopString(talk, true) },
  { name: 'continuation-by-ids', engine: 'plain', play: (talk) => continuation(talk, {}) },
  {
    name: 'continuation-by-ids-sampled',
    engine: 'plain',
    play: (talk) => continuation(talk, { temperature: 0.8, seed: 7 }),
  },
  { name: 'client-leaves', engine: 'plain', play: clientLeaves },
];

function namesTokensById(answer: Answer): Json {
  type WithLogprobs = {
    readonly choices: readonly { readonly logprobs: { readonly tokens: readonly string[] } }[];
  };
  const [first] = eventsOf(answer.body) as readonly WithLogprobs[];
  return { namesTokensById: first?.choices[0]?.logprobs.tokens[0]?.startsWith('token_id:') ?? false };
}

/** The largest number of one-letter tokens that had come while their text had not, the last chunk left out. */
function heldBack(answer: Answer): number {
  let tokens = 0;
  let letters = 0;
  let most = 0;
  for (const piece of piecesOf(answer).slice(0, -1)) {
    tokens += piece.ids.length;
    letters += piece.text.length;
    most = Math.max(most, tokens - letters);
  }
  return most;
}

/** Takes two neighbouring characters out of the engine's own answer and asks again with them as the stop string. */
async function stopString(talk: Talk, included: boolean): Promise<Json> {
  const whole = await talk.ask(completion({ ...ids, max_tokens: 48 })(talk));
  const text = textOf(whole);
  const found = /[ -~]{2}/.exec(text.slice(12));
  if (found === null) return { facts: { stop: 'the answer holds no two printable characters' } };
  const end = text.indexOf(found[0]);
  const stopped = await talk.ask(
    completion({ ...ids, max_tokens: 48, stop: [found[0]], include_stop_str_in_output: included })(talk),
  );
  const stoppedIds = idsIn(stopped);
  return {
    ...shapeOf(stopped, talk.model),
    facts: {
      textEndsAtTheString: textOf(stopped) === text.slice(0, included ? end + 2 : end),
      idsAreThoseOfTheWhole: idsIn(whole).slice(0, stoppedIds.length).join() === stoppedIds.join(),
    },
  };
}

/** The rest after ten tokens, asked for by prompt ids and those ten, against the rest of the undisturbed answer. */
async function continuation(talk: Talk, sampling: Readonly<Record<string, unknown>>): Promise<Json> {
  const request = { ...ids, ...sampling, max_tokens: 40 };
  const whole = await talk.ask(chat(request)(talk));
  const [first] = eventsOf(whole.body) as readonly { prompt_token_ids: readonly number[] }[];
  const known = idsIn(whole).slice(0, 10);
  const prompt = [...(first?.prompt_token_ids ?? []), ...known];
  const rest = await talk.ask(completion({ ...request, prompt, max_tokens: 30 })(talk));
  const again = await talk.ask(chat(request)(talk));
  return {
    facts: {
      restIsEqual: idsIn(rest).join() === idsIn(whole).slice(10).join(),
      replayIsEqual: idsIn(again).join() === idsIn(whole).join(),
    },
  };
}

/** A client that goes away in mid-stream leaves nothing running. */
async function clientLeaves(talk: Talk): Promise<Json> {
  const running = async (): Promise<number> =>
    Number(/^vllm:num_requests_running\{.*\} (\S+)$/m.exec((await talk.ask(get('/metrics'))).body)?.[1]);
  const call = talk.call(completion({ ...ids, max_tokens: talk.context - 100 })(talk));
  const ran = await until(async () => call.sofar().length > 0 && (await running()) === 1, 10_000);
  call.hangUp();
  return { facts: { ran, idleAgain: await until(async () => (await running()) === 0, 10_000) } };
}
