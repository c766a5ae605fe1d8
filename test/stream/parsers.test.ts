/** Chats of engines with parsers, which show special tokens and leave out empty texts, and of engines without. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { noAbility } from '../../src/std/ability.ts';
import { ask, converse, gathered, type Cut } from './conversation.ts';
import { byteIds, eosId, respond, specialId, specialText, type Script } from './scripted-engine.ts';

const answer = [...byteIds('one 世 '), specialId, ...byteIds('two '), specialId, ...byteIds('three'), eosId];
const script: Script = { promptIds: [1, 2, 3], answer, id: 'first' };
const chat = { model: 'tiny', messages: [{ role: 'user', content: 'hi' }], stream: true };

for (const showsSpecials of [true, false]) {
  const ability = { ...noAbility, showsSpecials };
  const special = showsSpecials ? specialText : '';
  const told = (rest: Record<string, unknown>, cuts: readonly Cut[]) =>
    gathered(
      converse(ask('chat', { ...chat, ...rest }, { ability }), { ...script, parses: showsSpecials }, cuts)
        .sent,
    );
  const engine = showsSpecials ? 'with' : 'without';

  test(`[S1] a chat of an engine ${engine} parsers has the same special tokens behind a seam`, () => {
    const length = respond(script, {
      path: '/v1/chat/completions',
      body: JSON.stringify(chat),
      streamed: true,
    });
    for (let after = 2; after < length.length - 1; after++) {
      const { text, finish } = told({}, [
        { after, by: 'eof' },
        { after: 3, by: 'reset' },
      ]);
      equal(text, `one 世 ${special}two ${special}three`, `cut after ${after}`);
      deepEqual(finish, [['stop', null]]);
    }
  });

  test(`[S4] stop strings of it are found, and cut off, behind a seam at an engine ${engine} parsers`, () => {
    for (const after of [3, 8, 12, 17]) {
      const { text, finish } = told({ stop: ['three', `${specialText}two`] }, [{ after, by: 'eof' }]);
      equal(text, showsSpecials ? 'one 世 ' : 'one 世 two ', `cut after ${after}`);
      deepEqual(finish, [['stop', showsSpecials ? `${specialText}two` : 'three']]);
      equal(told({ stop: ['never'] }, [{ after, by: 'eof' }]).text, `one 世 ${special}two ${special}three`);
    }
  });
}

test('[S13] a chat says nothing as its engine says it: by no text, or by an empty one', () => {
  const lastOf = (parses: boolean, cuts: readonly Cut[]): unknown => {
    const { sent } = converse(ask('chat', chat), { ...script, parses }, cuts);
    const { choices } = JSON.parse(sent.at(-2)!) as { choices: readonly { delta: unknown }[] };
    return choices[0]?.delta;
  };
  const wholeOf = (parses: boolean): unknown => {
    const engine = { ...script, parses, answer: [eosId] };
    const { answer: whole } = converse(ask('chat', { ...chat, stream: false }), engine, []);
    const { choices } = JSON.parse(whole!.body) as { choices: readonly { message: { content: unknown } }[] };
    return choices[0]?.message.content;
  };
  for (const cuts of [[], [{ after: answer.length - 8, by: 'eof' } as const]]) {
    deepEqual(lastOf(true, cuts), {});
    deepEqual(lastOf(false, cuts), { content: '' });
  }
  deepEqual([wholeOf(true), wholeOf(false)], [null, '']);
});

test('[S12] a completion is asked for with special tokens as its client asked, seam or not', () => {
  const ability = { ...noAbility, showsSpecials: true };
  const asked = { model: 'tiny', prompt: 'hello', max_tokens: 40, stream: true };
  const { asked: legs } = converse(ask('completions', asked, { ability }), script, [{ after: 4, by: 'eof' }]);
  equal(legs.length, 2);
  ok(legs.every(({ body }) => !body.includes('skip_special_tokens')));
});
