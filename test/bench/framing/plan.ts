/** What both framings are put through. */

/** At once, each a token every step: two hundred streams of one node to another. */
export const streams = 200;
export const stepMs = 20;
export const tokens = 100;
export const windowMs = 2_500;
export const warmMs = 1_500;
/** Each framing in turn, so that what disturbs the machine disturbs both. */
export const rounds = 2;
export const bodyBytesMax = 64 * 1_024;

const event = JSON.stringify({
  ...{
    id: 'chatcmpl-0123456789abcdef',
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: 'model',
  },
  choices: [
    { index: 0, delta: { content: ' token' }, logprobs: null, finish_reason: null, token_ids: [12_345] },
  ],
});

export const eventOf = (step: number): Buffer =>
  Buffer.from(`data: ${event.replace('12345', String(10_000 + (step % 1_000)))}\n\n`);

/** As long as a usual prompt. */
export const question = JSON.stringify({ prompt: 'Say it briefly. '.repeat(60) });
