import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { memberId } from '../../src/std/member-id.ts';
import { ask, converse, gathered, lead } from './conversation.ts';
import { promptIds, answer, script, text, messages, chat, whole, types, flowing } from './counting.ts';
import { eosId, fingerprint, respond } from './scripted-engine.ts';

test('[S12] what cannot be continued goes out untouched and comes back untouched', () => {
  const request = whole({ unheard_of: true });
  const told = converse(request, script, []);
  const sent = respond(script, told.asked[0]!);
  equal(request.way === 'whole' && request.raw, told.asked[0]?.body);
  deepEqual(told.sent, sent);
});

test('[S12] it is repeated as a whole while nothing was delivered', () => {
  const told = converse(whole(), script, [{ after: 1, by: 'reset' }]);
  equal(told.asked[1]?.body, told.asked[0]?.body);
  equal(gathered(told.sent).text, text);
  deepEqual(gathered(told.sent).roles, ['assistant']);
});

test('[S12] and ends in an error event once something was', () => {
  const told = converse(whole(), script, [{ after: 3, by: 'reset' }]);
  equal(told.asked.length, 1);
  const said = gathered(told.sent);
  deepEqual([said.text, said.done, said.error !== null], ['One two', true, true]);
});

test('[S12] it stays where it is when its member drains, unless nothing was delivered', () => {
  const order = { type: 'move', member: memberId('a'), cause: 'drain', elsewhere: true } as const;
  deepEqual(flowing(whole()).at(200, order), []);
  const led = lead(whole());
  led.at(0, { type: 'begin' });
  led.at(0, { type: 'placed', leg: 1, member: memberId('a') });
  deepEqual(types(led.at(200, order)), ['abort', 'fact', 'open']);
});

test('[S12] an answer in one piece that a stopping engine cut short is asked for again', () => {
  const led = lead(whole({ stream: false }));
  led.at(0, { type: 'begin' });
  led.at(0, { type: 'placed', leg: 1, member: memberId('a') });
  const cut = '{"choices":[{"index":0,"text":"One","finish_reason":"abort"}]}';
  deepEqual(types(led.at(50, { type: 'answer', leg: 1, status: 200, body: cut })), ['abort', 'fact', 'open']);
  led.at(60, { type: 'placed', leg: 2, member: memberId('b') });
  const full = '{"choices":[{"index":0,"text":"to \\"abort\\"","finish_reason":"stop"}]}';
  const effects = led.at(90, { type: 'answer', leg: 2, status: 200, body: full });
  deepEqual(types(effects), ['fact', 'answer', 'fact']);
});

test('[S12] reasoning is passed on, and cannot be continued from there', () => {
  const led = flowing();
  const thought = JSON.stringify({
    id: 'c',
    choices: [{ index: 0, delta: { reasoning: 'hm' }, finish_reason: null, token_ids: [5] }],
  });
  const [logged, sent] = led.item(120, 1, thought);
  ok(logged?.type === 'log' && logged.records[0]?.type === 'unfit');
  ok(sent?.type === 'send' && sent.data.includes('"reasoning":"hm"'));
  deepEqual(types(led.at(130, { type: 'ended', leg: 1, cause: 'reset' })), [
    'abort',
    'send',
    'send',
    'close',
    'fact',
  ]);
});

test('[S12] reasoning in an answer that is told as a whole leaves putting it together to the engine', () => {
  const led = lead(chat({ stream: false }));
  led.at(0, { type: 'begin' });
  led.at(0, { type: 'placed', leg: 1, member: memberId('a') });
  const thought = JSON.stringify({
    id: 'c',
    choices: [{ index: 0, delta: { reasoning: 'hm' }, finish_reason: null, token_ids: [5] }],
  });
  const [abort, open] = led.item(20, 1, thought);
  equal(abort?.type, 'abort');
  ok(open?.type === 'open' && !open.request.streamed && !open.request.body.includes('return_token_ids'));
});

test('[S13] a plain request without stream is told in one piece, in the shape of vLLM', () => {
  const request = ask('chat', { model: 'tiny', messages, return_token_ids: true });
  const told = converse(request, script, [{ after: 4, by: 'eof' }]);
  deepEqual([told.sent, told.answer?.status], [[], 200]);
  deepEqual(JSON.parse(told.answer?.body ?? ''), {
    id: 'cmpl-first',
    object: 'chat.completion',
    created: 1_795_247_514,
    model: 'tiny',
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: text,
          refusal: null,
          annotations: null,
          audio: null,
          function_call: null,
          reasoning: null,
        },
        logprobs: null,
        finish_reason: 'stop',
        stop_reason: null,
        token_ids: [...answer, eosId],
        routed_experts: null,
      },
    ],
    service_tier: null,
    system_fingerprint: fingerprint,
    usage: {
      prompt_tokens_details: null,
      completion_tokens_details: null,
      prompt_tokens: 5,
      total_tokens: 12,
      completion_tokens: 7,
    },
    prompt_logprobs: null,
    prompt_token_ids: promptIds,
    prompt_text: null,
    kv_transfer_params: null,
    ec_transfer_params: null,
    metrics: null,
  });
});
