import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { noAbility } from '../../src/std/ability.ts';
import { memberId } from '../../src/std/member-id.ts';
import type { Effect } from '../../src/stream/events.ts';
import {
  ask,
  causes,
  converse,
  errorEvent,
  gathered,
  lead,
  memberOfLeg,
  type Cut,
  type Engine,
} from './conversation.ts';
import {
  promptIds,
  answer,
  messages,
  script,
  text,
  chat,
  whole,
  bodyOf,
  named,
  types,
  chunk,
  flowing,
} from './counting.ts';
import { eosId, fingerprint, respond } from './scripted-engine.ts';

test('[S5] a continuation asks for what is left, by ids, with the sampling of the first request', () => {
  const request = ask(
    'chat',
    {
      model: 'tiny',
      messages,
      stream: true,
      max_tokens: 10,
      min_tokens: 4,
      seed: 7,
      temperature: 0.8,
      frequency_penalty: 0.5,
      repetition_penalty: 1,
      logit_bias: { [answer[0]!]: 2 },
      tools: [],
      tool_choice: 'none',
      chat_template_kwargs: { a: 1 },
      request_id: 'mine',
    },
    { ability: { ...noAbility, keyedByPosition: true } },
  );
  const { asked } = converse(request, script, [{ after: 4, by: 'eof' }]);
  const carried = answer.slice(0, 3);
  equal(asked[1]?.path, '/v1/completions');
  deepEqual(bodyOf(asked, 1), {
    model: 'tiny',
    seed: 7,
    temperature: 0.8,
    frequency_penalty: 0.5,
    repetition_penalty: 1,
    stream: true,
    return_token_ids: true,
    prompt: [...promptIds, ...carried],
    max_tokens: 7,
    min_tokens: 1,
    logit_bias: { [carried[0]!]: 1.5, [carried[1]!]: -0.5, [carried[2]!]: -0.5 },
  });
});

test('[S5] without a limit of its own a chat goes on to the end of the context, a completion to 16 tokens', () => {
  const cut: Cut = { after: 3, by: 'reset' };
  equal(bodyOf(converse(chat(), script, [cut]).asked, 1)['max_tokens'], 4_096 - promptIds.length - 2);
  const completion = ask('completions', { model: 'tiny', prompt: 'hello', stream: true });
  equal(bodyOf(converse(completion, script, [cut]).asked, 1)['max_tokens'], 16 - 3);
});

test('[S5] an answer whose last token was heard is not continued but finished by its length', () => {
  const request = chat({ max_tokens: 3 });
  const led = flowing(request);
  led.item(110, 1, chunk(answer[1]!, ' two'));
  led.item(120, 1, chunk(answer[2]!, ' three'));
  const effects = led.at(130, { type: 'ended', leg: 1, cause: 'reset' });
  const said = gathered(effects.flatMap((effect) => (effect.type === 'send' ? [effect.data] : [])));
  deepEqual(said.finish, [['length', null]]);
  equal(said.done, true);
});

test('[S6] the second engine answers under the name of the first, and opens no second chat', () => {
  const told = converse(chat({ stream_options: { include_usage: true } }), script, [{ after: 3, by: 'eof' }]);
  const said = gathered(told.sent);
  deepEqual(said.heads, ['cmpl-first 1795247514 tiny']);
  deepEqual(said.roles, ['assistant']);
  ok(told.sent.some((data) => data.includes(fingerprint)));
});

test('[S7] ids and usage go to those who asked for them, and count every token once', () => {
  const cuts: Cut[] = [
    { after: 3, by: 'eof' },
    { after: 2, by: 'reset' },
  ];
  const plain = converse(chat(), script, cuts);
  equal(
    plain.sent.some((data) => /"usage"|"token_ids":\[|"prompt_token_ids":\[/.test(data)),
    false,
  );
  const rich = converse(
    chat({ return_token_ids: true, stream_options: { include_usage: true } }),
    script,
    cuts,
  );
  const said = gathered(rich.sent);
  deepEqual(said.ids, [...answer, eosId]);
  deepEqual(said.usage, { prompt_tokens: 5, total_tokens: 12, completion_tokens: 7 });
});

test("[S7] the prompt's ids come once, with the first chunk", () => {
  const body = { model: 'tiny', prompt: 'hello', stream: true, return_token_ids: true };
  const told = converse(ask('completions', body), script, [{ after: 2, by: 'eof' }]);
  const carries = told.sent.map((data) => data.includes('"prompt_token_ids":['));
  deepEqual(carries.slice(0, 3), [true, false, false]);
  equal(carries.filter(Boolean).length, 1);
});

for (const by of causes) {
  test(`[S8] a leg that ends by ${by} is moved, and the move is told with its cause`, () => {
    const told = converse(chat(), script, [{ after: 4, by }]);
    equal(gathered(told.sent).text, text);
    const moved = told.facts.find(({ fact }) => fact === 'stream.moved');
    deepEqual(moved?.fact === 'stream.moved' && [moved.from, moved.to, moved.tokens, moved.cause], [
      memberOfLeg(1),
      memberOfLeg(2),
      3,
      by,
    ]);
    deepEqual(named(told.facts), ['stream.moved', 'stream.finished']);
  });
}

test('[S8] an engine that has said the end may say what it likes after it: the answer is complete', () => {
  for (const request of [chat(), chat({ stream: false }), chat({ logprobs: true, seed: 7 })]) {
    const undisturbed = converse(request, script, []);
    for (const last of ['nonsense', errorEvent]) {
      const say: Engine = (asked) => respond(script, asked).map((data) => (data === '[DONE]' ? last : data));
      const told = converse(request, say, []);
      deepEqual([told.sent, told.answer], [undisturbed.sent, undisturbed.answer], last);
      deepEqual([named(told.facts), told.asked.length], [['stream.finished'], 1]);
    }
  }
});

test('[S8] the member that lost a leg is avoided until a new token has come', () => {
  const led = flowing();
  const [, open] = led.at(200, { type: 'ended', leg: 1, cause: 'reset' });
  deepEqual(open?.type === 'open' && [open.avoid, open.urgent], [['a'], true]);
});

test('[S8] a member that is dead is not waited for, whether there is another one or not', () => {
  const dead = { type: 'move', member: memberId('a'), cause: 'dead', elsewhere: false } as const;
  deepEqual(types(flowing().at(200, dead)), ['abort', 'open']);
  deepEqual(types(flowing(whole()).at(200, dead)), ['abort', 'send', 'send', 'close', 'fact']);
});

test('[S8] an engine that answers 500 is left for another one', () => {
  const told = converse(chat(), script, [{ after: 0, by: 'status' }]);
  equal(gathered(told.sent).text, text);
});

test('[S11] a member in doubt loses what it has not begun to answer, and nothing else', () => {
  const doubt = { type: 'move', member: memberOfLeg(1), cause: 'suspect' } as const;
  const streamed = lead(chat());
  streamed.at(0, { type: 'begin' });
  streamed.at(0, { type: 'placed', leg: 1, member: memberOfLeg(1) });
  streamed.at(5, { type: 'answered', leg: 1 });
  deepEqual(streamed.at(10, { ...doubt, elsewhere: false }), []);
  const moved = streamed.at(10, { ...doubt, elsewhere: true });
  deepEqual(types(moved), ['abort', 'fact', 'open']);
  const [, fact, open] = moved;
  deepEqual(open?.type === 'open' && open.avoid, [memberOfLeg(1)], 'and is not asked again');
  const [member, waitedMs] = [memberOfLeg(1), 10];
  deepEqual(fact?.type === 'fact' && fact.fact, {
    ...{ fact: 'stream.unanswered', member, cause: 'suspect', waitedMs, tokens: 0 },
  });
  deepEqual(flowing().at(200, { ...doubt, elsewhere: true }), []);

  const silence = { ...doubt, cause: 'silence', elsewhere: true } as const;
  const queued = lead(chat());
  const unheard = lead(chat());
  for (const one of [queued, unheard]) {
    one.at(0, { type: 'begin' });
    one.at(0, { type: 'placed', leg: 1, member: memberOfLeg(1) });
  }
  queued.at(5, { type: 'answered', leg: 1 });
  deepEqual(queued.at(10, silence), []);
  deepEqual(types(unheard.at(10, silence)), ['abort', 'fact', 'open']);

  const piece = lead(whole({ stream: false }));
  piece.at(0, { type: 'begin' });
  piece.at(0, { type: 'placed', leg: 1, member: memberOfLeg(1) });
  deepEqual(piece.at(10, { ...doubt, elsewhere: true }), []);
});

test('[S10] two moves in a row without a new token end in an honest error', () => {
  const dead: Cut = { after: 0, by: 'reset' };
  const told = converse(chat(), script, [{ after: 3, by: 'eof' }, dead, dead]);
  equal(told.asked.length, 3);
  const said = gathered(told.sent);
  equal(said.text, 'One two');
  ok(said.error?.message.includes('could not be continued'));
  deepEqual([said.done, told.closed], [true, true]);
  deepEqual(named(told.facts), ['stream.unanswered', 'stream.failed']);
});

test('[S10] a new token between them makes the count begin again', () => {
  const short: Cut = { after: 1, by: 'reset' };
  const dead: Cut = { after: 0, by: 'reset' };
  const told = converse(chat(), script, [{ after: 3, by: 'eof' }, dead, short, dead, short]);
  equal(gathered(told.sent).text, text);
});

test('[S10] members that were not reached are no moves, but are avoided next', () => {
  const led = flowing();
  led.at(200, { type: 'ended', leg: 1, cause: 'reset' });
  for (let leg = 2; leg < 8; leg++) {
    led.at(200 + leg, { type: 'placed', leg, member: memberId(`b${leg}`) });
    const [open] = led.at(200 + leg, { type: 'unreached', leg });
    ok(open?.type === 'open' && open.avoid.includes(memberId(`b${leg}`)));
  }
});

test('[S10] a generation waits for a member that takes it, and gives up after 20 seconds', () => {
  const led = flowing();
  led.at(1_000, { type: 'ended', leg: 1, cause: 'reset' });
  let now = 1_000;
  for (;;) {
    const waiting = led.at(now, { type: 'unplaced', leg: led.leg(), why: 'unavailable' });
    if (waiting.length > 0) {
      deepEqual(types(waiting), ['abort', 'send', 'send', 'close', 'fact']);
      break;
    }
    now = led.deadline();
    // What failed before may have come back: nobody is avoided any more.
    const [open] = led.at(now, { type: 'tick' });
    ok(open?.type === 'open' && open.avoid.length === 0);
  }
  equal(now, 21_000);
});

test('[S10] who has nothing yet and finds no member in 20 seconds is told to come back', () => {
  const led = lead(chat());
  led.at(0, { type: 'begin' });
  led.at(0, { type: 'placed', leg: 1, member: memberOfLeg(1) });
  led.at(10, { type: 'ended', leg: 1, cause: 'reset' });
  let told: readonly Effect[] = [];
  while (told.length === 0) {
    told = led.at(led.now(), { type: 'unplaced', leg: led.leg(), why: 'unavailable' });
    if (told.length === 0) led.at(led.deadline(), { type: 'tick' });
  }
  const refusal = told.flatMap((effect) => (effect.type === 'refuse' ? [effect.refusal] : []))[0];
  deepEqual([refusal?.status, refusal?.complaint.code], [503, 'model_unavailable']);
});

test('[S8] an answer for which this node has no room is asked of nobody else, and its client is told to come back', () => {
  const led = lead(chat());
  led.at(0, { type: 'begin' });
  led.at(0, { type: 'placed', leg: 1, member: memberOfLeg(1) });
  const told = led.at(10, { type: 'ended', leg: 1, cause: 'crowded' });
  deepEqual(types(told), ['abort', 'refuse', 'fact']);
  const refusal = told.flatMap((effect) => (effect.type === 'refuse' ? [effect.refusal] : []))[0];
  deepEqual([refusal?.status, refusal?.complaint.code, refusal?.retryAfterMs], [503, 'overloaded', 1_000]);
});

test('[S10] who took the request was found, though it never said a word: the search begins anew', () => {
  const led = flowing();
  led.at(1_000, { type: 'ended', leg: 1, cause: 'reset' });
  led.at(1_010, { type: 'placed', leg: 2, member: memberId('b') });
  led.at(1_020, { type: 'answered', leg: 2 });
  const drained = { type: 'move', member: memberId('b'), cause: 'drain', elsewhere: true } as const;
  deepEqual(types(led.at(26_000, drained)), ['abort', 'fact', 'open']);
  led.at(26_010, { type: 'placed', leg: 3, member: memberId('c') });
  deepEqual(types(led.at(26_020, { type: 'unreached', leg: 3 })), ['open']);
});

test('[S11] an order to move is followed at once where there is somewhere to go', () => {
  const led = flowing();
  const order = { type: 'move', member: memberId('a'), cause: 'drain', elsewhere: true } as const;
  deepEqual(led.at(200, { ...order, member: memberId('other') }), []);
  const effects = led.at(200, order);
  deepEqual(types(effects), ['abort', 'open']);
  deepEqual(led.at(201, order), []);
});

test('[S11] where there is not, the generation stays and asks again', () => {
  const led = flowing();
  const order = { type: 'move', member: memberId('a'), cause: 'drain', elsewhere: false } as const;
  deepEqual(led.at(200, order), []);
  equal(led.deadline(), 450);
  led.item(300, 1, chunk(answer[1]!, ' two'));
  deepEqual(led.at(450, { type: 'tick' }), [{ type: 'ask-again', member: memberId('a'), cause: 'drain' }]);
  deepEqual(types(led.at(450, { ...order, elsewhere: true })), ['abort', 'open']);
});

test('[S11] an order that waits for a place is not forgotten over what befalls others, or over a doubt', () => {
  const led = flowing();
  const order = { type: 'move', member: memberId('a'), cause: 'drain', elsewhere: false } as const;
  led.at(200, order);
  led.at(210, { type: 'move', member: memberId('b'), cause: 'dead', elsewhere: false });
  led.at(220, { type: 'move', member: memberId('a'), cause: 'silence', elsewhere: false });
  led.item(300, 1, chunk(answer[1]!, ' two'));
  deepEqual(led.at(450, { type: 'tick' }), [{ type: 'ask-again', member: memberId('a'), cause: 'drain' }]);
});

test('[S11] an order is forgotten with the leg that it was about', () => {
  const led = flowing();
  led.at(200, { type: 'move', member: memberId('a'), cause: 'drain', elsewhere: false });
  led.at(210, { type: 'ended', leg: 1, cause: 'reset' });
  led.at(210, { type: 'placed', leg: 2, member: memberId('b') });
  deepEqual(led.at(450, { type: 'tick' }), []);
});

test('[S11] being ordered about any number of times does not fail a generation', () => {
  const led = flowing();
  for (let leg = 1; leg < 6; leg++) {
    const member = leg === 1 ? memberId('a') : memberOfLeg(leg);
    const effects = led.at(200, { type: 'move', member, cause: 'drain', elsewhere: true });
    deepEqual(types(effects), leg === 1 ? ['abort', 'open'] : ['abort', 'fact', 'open']);
    led.at(200, { type: 'placed', leg: leg + 1, member: memberOfLeg(leg + 1) });
  }
});

test('[S14] what an earlier leg still says changes nothing, and after the end nothing changes anything', () => {
  const led = flowing();
  led.at(200, { type: 'ended', leg: 1, cause: 'reset' });
  deepEqual(led.item(210, 1, chunk(answer[1]!, ' two')), []);
  deepEqual(led.at(211, { type: 'ended', leg: 1, cause: 'eof' }), []);
  led.at(220, { type: 'client-left' });
  deepEqual(led.at(221, { type: 'placed', leg: 2, member: memberId('b') }), []);
  deepEqual(led.at(222, { type: 'tick' }), []);
  deepEqual(led.at(223, { type: 'cut', resumes: false }), []);
  equal(led.deadline(), Infinity);
});

test('[S15] a client that leaves aborts the engine', () => {
  deepEqual(types(flowing().at(200, { type: 'client-left' })), ['abort', 'fact']);
});

test('[S15] a node that goes ends its streams by an error event, and counts them', () => {
  const effects = flowing().at(200, { type: 'cut', resumes: false });
  deepEqual(types(effects), ['abort', 'send', 'send', 'close', 'fact']);
  ok(effects.some((effect) => effect.type === 'fact' && effect.fact.fact === 'stream.entryLost'));
});

test('[S15] a client that goes on elsewhere by itself gets no error, only the end of its connection', () => {
  const effects = flowing().at(200, { type: 'cut', resumes: true });
  deepEqual(types(effects), ['abort', 'close', 'fact']);
  ok(effects.some((effect) => effect.type === 'fact' && effect.fact.fact === 'stream.handedOver'));
});

test('[S31] an answer that another entry node goes on with ends here by an error event', () => {
  const effects = flowing().at(200, { type: 'taken' });
  deepEqual(types(effects), ['abort', 'send', 'send', 'close', 'fact']);
  ok(effects.some((effect) => effect.type === 'send' && effect.data.includes('stream_taken')));
});

test('[S16] a request that nobody can take is refused at once, with the status that fits', () => {
  const expected = { 'unknown-model': 404, starting: 503, full: 429, unavailable: 503 } as const;
  for (const [why, status] of Object.entries(expected) as [keyof typeof expected, number][]) {
    const led = lead(chat());
    led.at(0, { type: 'begin' });
    const [refused] = led.at(0, { type: 'unplaced', leg: 1, why });
    ok(refused?.type === 'refuse');
    equal(refused.refusal.status, status);
    equal(refused.refusal.retryAfterMs === null, why === 'unknown-model');
  }
});

test("[S16] an engine's refusal goes to the client as it is", () => {
  const led = lead(chat());
  led.at(0, { type: 'begin' });
  led.at(0, { type: 'placed', leg: 1, member: memberId('a') });
  const body =
    '{"error":{"message":"top_p must be in (0, 1]","type":"BadRequestError","param":"top_p","code":400}}';
  deepEqual(led.at(5, { type: 'answer', leg: 1, status: 400, body }), [
    { type: 'answer', status: 400, body },
  ]);
});

test('[S16] an error that every engine gives is in the end told in its own words', () => {
  const broken: Cut = { after: 0, by: 'status' };
  const told = converse(chat(), script, [broken, broken, broken]);
  equal(told.asked.length, 3);
  deepEqual(told.answer, { status: 500, body: errorEvent });
});
