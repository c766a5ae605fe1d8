/** The end of an answer comes with its last tokens or behind them, as engines like, and a client hears of it once. */
import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { Gate } from '../../src/node/gate.ts';
import { restore } from '../../src/stream/carrier.ts';
import type { GenerationRequest } from '../../src/stream/request.ts';
import { resumed } from '../../src/stream/state.ts';
import { instant } from '../../src/std/time.ts';
import { ask, converse, gathered, type Engine } from '../stream/conversation.ts';
import { byteIds, endApart, eosId, respond, wordId, type Script } from '../stream/scripted-engine.ts';
import { VirtualClock } from './world.ts';

const script: Script = {
  promptIds: byteIds('hi'),
  answer: [...['one', ' two', ' three', ' stop', ' four'].map(wordId), eosId],
  id: 'e',
};
const chat = { model: 'tiny', messages: [{ role: 'user', content: 'hi' }], stream: true };
const completion = { model: 'tiny', prompt: 'hi', stream: true };

const cases = {
  'a chat': ask('chat', { ...chat, return_token_ids: true }),
  'a chat that ends by its length': ask('chat', { ...chat, max_tokens: 4 }),
  'a completion with usage': ask('completions', { ...completion, stream_options: { include_usage: true } }),
  'a completion whose length ends it in what may be a stop string': ask('completions', {
    ...completion,
    max_tokens: 5,
    stop: ['four!'],
  }),
};

const together: Engine = (request) => respond(script, request);
const apart: Engine = (request) => endApart(respond(script, request));

/** What a client hears in all that has had the first so many events of one entry node and goes on at another one. */
function heardBy(
  request: GenerationRequest,
  { first, second }: { readonly first: Engine; readonly second: Engine },
  { had, known }: { readonly had: number; readonly known: number },
): readonly string[] {
  const before = converse(request, first, []);
  const mine = before.said.slice(0, had);
  const { carrier, events } = restore(request, before.records.slice(0, known))!;
  const gate = new Gate({
    ...{ stream: 's', clock: new VirtualClock(), commits: false, streamed: true },
    from: mine.at(-1)!.mark,
  });
  const heard = mine.map(({ data }) => data);
  const rest = converse(request, second, [], resumed(request, carrier, instant(0)));
  for (const said of [...events, ...rest.said]) gate.say(said, ({ data }) => heard.push(data));
  return heard;
}

for (const [name, request] of Object.entries(cases)) {
  const undisturbed = converse(request, together, []);
  const { text, ids, finish, done } = gathered(undisturbed.sent);

  test(`[S33] ${name}: wherever its client goes on, the end is told once, whichever way it was told before`, () => {
    for (const first of [together, apart]) {
      const { said, records } = converse(request, first, []);
      for (const second of [together, apart]) {
        for (let had = 1; had < said.length; had++) {
          for (let known = 2; known <= records.length; known++) {
            const sum = gathered(heardBy(request, { first, second }, { had, known }));
            const its = { text: sum.text, ids: sum.ids, finish: sum.finish, done: sum.done };
            deepEqual(its, { text, ids, finish, done }, `${had} events, ${known} records`);
          }
        }
      }
    }
  });
}
