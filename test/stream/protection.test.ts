import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { commonAbility, noAbility, type Ability } from '../../src/std/ability.ts';
import { protectionOf } from '../../src/stream/protection.ts';
import { ask } from './conversation.ts';

const able: Ability = {
  scaleOut: true,
  keyedByPosition: true,
  repeatable: true,
  neutralPenalties: true,
  showsSpecials: false,
};
const half: Ability = { ...able, repeatable: false };
const restarting: Ability = { ...able, keyedByPosition: false };
const messages = [{ role: 'user', content: 'hi' }];
const chat = (body: Record<string, unknown>) =>
  ask('chat', { model: 'tiny', messages, stream: true, ...body });
const completion = (body: Record<string, unknown>) =>
  ask('completions', { model: 'tiny', prompt: 'hi', stream: true, ...body });

test('[S17] drawn freely, any continuation is an answer that could have been', () => {
  for (const ability of [able, half, restarting]) {
    equal(protectionOf(chat({}), ability), 'exact');
    equal(protectionOf(chat({ temperature: 0.7 }), ability), 'exact');
  }
  equal(protectionOf(completion({}), noAbility), 'exact');
});

test('[S17] greedy is exact where engines compute the same again', () => {
  equal(protectionOf(chat({ temperature: 0 }), able), 'exact');
  equal(protectionOf(chat({ top_k: 1 }), restarting), 'exact');
  equal(protectionOf(chat({ temperature: 0 }), half), 'best-effort');
});

test('[S17] a seed is exact where, besides, the next engine draws on by position', () => {
  equal(protectionOf(completion({ seed: 3 }), able), 'exact');
  equal(protectionOf(completion({ seed: 3 }), half), 'best-effort');
});

test('[S17] what is asked again and compared is exact where engines compute the same again', () => {
  const grammar = { response_format: { type: 'json_object' }, temperature: 0 };
  equal(protectionOf(chat(grammar), restarting), 'exact');
  equal(protectionOf(chat(grammar), half), 'best-effort');
  equal(protectionOf(chat({ ...grammar, temperature: 1 }), able), 'none');
});

test('[S17] a streamed chat that may turn to reasoning is no promise where engines do not derender', () => {
  equal(protectionOf(chat({}), noAbility), 'best-effort');
  equal(protectionOf(chat({ stream: false }), noAbility), 'exact');
});

test('[S17] what is told as a whole is asked again as a whole', () => {
  equal(protectionOf(completion({ echo: true }), noAbility), 'none');
  equal(protectionOf(completion({ echo: true, stream: false }), noAbility), 'exact');
});

test('a model can do what all of its engines can', () => {
  equal(commonAbility([]).scaleOut, false);
  equal(commonAbility([able, half]).repeatable, false);
  equal(commonAbility([able, half]).scaleOut, true);
  equal(commonAbility([able, restarting, half]).keyedByPosition, false);
});
