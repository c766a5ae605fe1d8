/**
 * An engine whose core is dead goes on answering for some seconds, 500 to everything; one that has too much to do says
 * 503. Here all that an entry node knows of is such a member, until another one is seen again.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { memberId } from '../../src/std/member-id.ts';
import type { Effect, Event } from '../../src/stream/events.ts';
import { readAnswer } from '../../src/stream/apart.ts';
import { ask, converse, errorEvent, gathered, lead, sentTo, type Cut } from './conversation.ts';
import { parted, sing } from './chorus.ts';
import { answer, chat, chunk, flowing, named, script, text, types } from './counting.ts';
import { parsingEngine } from './parsing-engine.ts';
import { respond } from './scripted-engine.ts';

const dying = memberId('a');
const other = memberId('b');
const opened = (effects: readonly Effect[]) => effects.find((effect) => effect.type === 'open');

/** The dying member answers `status` whenever it is asked, and `other` is seen from `untilMs` on. */
function seek(led: ReturnType<typeof flowing>, status: number, untilMs: number) {
  const asked: number[] = [];
  const looks: number[] = [];
  const told: Effect[] = [];
  let now = 1_000;
  let next: Event | null = { type: 'ended', leg: 1, cause: 'reset' };
  while (next !== null && now < untilMs) {
    const effects: readonly Effect[] = led.at(now, next);
    told.push(...effects);
    const open = opened(effects);
    const leg = led.leg();
    if (effects.some(({ type }) => type === 'close')) break;
    if (open === undefined) {
      now = led.deadline();
      next = { type: 'tick' };
    } else if (open.avoid.includes(dying)) {
      looks.push(now);
      next = { type: 'unplaced', leg, why: 'starting' };
    } else {
      asked.push(now);
      led.at(now, { type: 'placed', leg, member: dying });
      next = { type: 'answer', leg, status, body: errorEvent };
    }
  }
  return { asked, looks, told, now };
}

for (const status of [429, 500, 502, 503, 504])
  test(`[S10] an engine that answers ${status} to an answer that has begun ends nothing of it`, () => {
    const led = flowing();
    const { asked, looks, now } = seek(led, status, 8_000);
    ok(asked.length > 3, 'it is asked again and again, for there is nobody else');
    const gaps = asked.slice(1).map((at, i) => at - asked[i]!);
    deepEqual([gaps[0], gaps[1], gaps[2]], [250, 500, 1_000], 'each time later');
    ok(looks.length > 2 * asked.length, 'while others are looked for all the time');
    led.at(now, { type: 'tick' });
    const leg = led.leg();
    led.at(now, { type: 'placed', leg, member: other });
    led.at(now, { type: 'answered', leg });
    const moved = led
      .item(now + 50, leg, chunk(answer[1]!, ' two'))
      .flatMap((effect) => (effect.type === 'fact' ? [effect.fact] : []));
    deepEqual(named(moved), ['stream.moved']);
  });

test('[S10] nor does one that is known to be dead', () => {
  const led = flowing();
  led.at(200, { type: 'ended', leg: 1, cause: 'reset' });
  for (let i = 0; i < 5; i++) {
    led.at(300, { type: 'placed', leg: led.leg(), member: memberId(`dead-${i}`) });
    ok(opened(led.at(300, { type: 'engine-dead', leg: led.leg() })) !== undefined);
  }
});

test('[S10] a new request is what three engines may have died of, and is not to be repeated unasked', () => {
  const led = lead(chat());
  led.at(0, { type: 'begin' });
  for (const leg of [1, 2]) {
    led.at(0, { type: 'placed', leg, member: memberId(`dead-${leg}`) });
    deepEqual(opened(led.at(10, { type: 'engine-dead', leg }))?.leg, leg + 1);
  }
  led.at(10, { type: 'placed', leg: 3, member: dying });
  const last = led.at(20, { type: 'engine-dead', leg: 3 });
  const refusals = last.flatMap((effect) => (effect.type === 'refuse' ? [effect.refusal] : []));
  deepEqual(
    refusals.map(({ status, complaint, retryAfterMs, isHarmful }) => [
      ...[status, complaint.code, retryAfterMs, isHarmful],
    ]),
    [[503, 'engines_died', 2_000, true]],
  );
});

test('[S10] one that says nothing else for 20 seconds ends it, honestly', () => {
  const { told, now } = seek(flowing(), 500, 60_000);
  ok(now >= 21_000 && now < 23_100, `${now}`);
  const said = gathered(told.flatMap((effect) => (effect.type === 'send' ? [effect.data] : [])));
  ok(said.error?.message.includes('could not be continued'));
  const failed = told.flatMap((effect) =>
    effect.type === 'fact' && effect.fact.fact === 'stream.failed' ? [effect.fact.cause] : [],
  );
  equal(failed.length, 1);
});

test('[S10] nor is it asked of ever more members that are busy for longer than that', () => {
  const led = flowing();
  led.at(1_000, { type: 'ended', leg: 1, cause: 'reset' });
  const refusedAt = (ms: number): readonly Effect[] => {
    const leg = led.leg();
    led.at(ms, { type: 'placed', leg, member: memberId(`busy-${leg}`) });
    return led.at(ms, { type: 'answer', leg, status: 503, body: errorEvent });
  };
  for (let ms = 1_500; ms < 21_000; ms += 500) ok(opened(refusedAt(ms)) !== undefined);
  deepEqual(types(refusedAt(21_000)), ['abort', 'send', 'send', 'close', 'fact']);
});

test('[S10] whom it was turned away by may be asked again once it has gone on', () => {
  const led = flowing();
  led.at(200, { type: 'ended', leg: 1, cause: 'reset' });
  led.at(200, { type: 'placed', leg: 2, member: other });
  const turned = opened(led.at(210, { type: 'answer', leg: 2, status: 503, body: errorEvent }));
  ok(turned?.avoid.includes(other));
  led.at(210, { type: 'placed', leg: 3, member: memberId('c') });
  led.at(210, { type: 'answered', leg: 3 });
  led.item(220, 3, chunk(answer[1]!, ' two'));
  const lost = opened(led.at(230, { type: 'ended', leg: 3, cause: 'reset' }));
  deepEqual(lost?.avoid, [memberId('c')]);
});

test('[S10] what a right continuation is refused by is a verdict: the second one is the last', () => {
  const led = flowing();
  led.at(200, { type: 'ended', leg: 1, cause: 'reset' });
  led.at(200, { type: 'placed', leg: 2, member: other });
  deepEqual(opened(led.at(210, { type: 'answer', leg: 2, status: 400, body: errorEvent }))?.leg, 3);
  led.at(210, { type: 'placed', leg: 3, member: memberId('c') });
  const last = led.at(220, { type: 'answer', leg: 3, status: 400, body: errorEvent });
  deepEqual(types(last), ['abort', 'send', 'send', 'close', 'fact']);
});

test('[S10] any number of members that are busy is passed over, told as a stream or in one piece', () => {
  const busy: Cut = { after: 0, by: 'status' };
  for (const stream of [true, false]) {
    const cuts: Cut[] = [{ after: 3, by: 'error' }, ...Array<Cut>(6).fill(busy)];
    const told = converse(chat({ stream }), script, cuts);
    equal(told.asked.length, 8);
    deepEqual(named(told.facts).slice(-2), ['stream.moved', 'stream.finished']);
    ok(stream ? gathered(told.sent).text === text : told.answer?.body.includes(text));
  }
});

test('[S10] [S20] of several choices one that has said nothing is bound by what others have said', () => {
  const asked = { model: 'tiny', messages: [], stream: true, n: 2, temperature: 1 };
  const request = readAnswer('chat', ...sentTo(asked, {}));
  ok(request.way === 'apart');
  const breaks = (['error', 503, 503, 503, 503] as const).map((by) => ({ choice: 1, after: 0, by }));
  // The first choice speaks before the second one is refused.
  const sung = sing(request, (leg) => respond(script, leg), { breaks, seed: 4 });
  const { choices, errors, endsDone } = parted(sung.sent);
  deepEqual([errors, endsDone], [0, true]);
  deepEqual(
    choices.map((choice) => choice.text),
    [text, text],
  );
});

test('[S10] [S20] such a choice waits for the only member there is, as an answer does that has begun', () => {
  const led = lead(chat());
  led.bind();
  led.at(0, { type: 'begin' });
  led.at(0, { type: 'placed', leg: 1, member: dying });
  const again = opened(led.at(10, { type: 'answer', leg: 1, status: 503, body: errorEvent }));
  deepEqual(again?.avoid, [dying]);
  deepEqual(types(led.at(10, { type: 'unplaced', leg: 2, why: 'starting' })), []);
  ok(opened(led.at(led.deadline(), { type: 'tick' })) !== undefined);
});

test('[S10] [S19] who cannot answer a question has not begun the leg that it goes with', () => {
  const ability = {
    scaleOut: true,
    neutralPenalties: true,
    showsSpecials: false,
    keyedByPosition: false,
    repeatable: false,
  };
  const request = ask(
    'chat',
    { model: 'tiny', messages: [], stream: true, tools: [{ type: 'function', function: { name: 'f' } }] },
    { ability },
  );
  const led = lead(request);
  led.at(0, { type: 'begin' });
  led.at(0, { type: 'placed', leg: 1, member: dying });
  const first = { path: '/v1/chat/completions', body: '{"return_token_ids":true}', streamed: true } as const;
  for (const data of parsingEngine(first, 1).slice(0, 6)) led.item(10, 1, data);
  const render = opened(led.at(20, { type: 'ended', leg: 1, cause: 'reset' }))!;
  led.at(20, { type: 'placed', leg: 2, member: other });
  const [rendered = ''] = parsingEngine(render.request, 2);
  let generate = opened(led.at(30, { type: 'answer', leg: 2, status: 200, body: rendered }));
  for (let i = 0; i < 5; i++) {
    equal(generate?.request.path, '/inference/v1/generate');
    const { leg } = generate;
    const asks = led.at(40 + i, { type: 'placed', leg, member: memberId(`c${i}`) });
    deepEqual(types(asks), ['ask']);
    generate = opened(led.at(40 + i, { type: 'told', leg, status: i % 2 === 0 ? 503 : 0, body: '' }));
  }
  ok(generate !== undefined, 'another one is asked');
});
