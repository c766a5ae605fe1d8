import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { met, type FakeImds } from './fake-imds.ts';

const within = (ms: number): AbortSignal => AbortSignal.timeout(ms);
/** Longer than any of these takes on a busy machine. */
const soon = (): AbortSignal => within(30_000);
const path = 'meta-data/spot/instance-action';

async function asked(fake: FakeImds, times: number): Promise<void> {
  while (fake.reads.length < times) await new Promise((resolve) => setImmediate(resolve));
}

test('what is there is read, what is not is null, always with a token and on one connection', () =>
  met(async (imds, fake) => {
    equal(await imds.read(path, 'notices', soon()), null);
    fake.tree.set(path, 'text');
    for (let i = 0; i < 10; i++) equal(await imds.read(path, 'notices', soon()), 'text');
    deepEqual([fake.tokens, fake.bareReads, fake.connections], [1, 0, 1]);
  }));

test('many reads at once share one request for a token', () =>
  met(async (imds, fake) => {
    await Promise.all(Array.from({ length: 20 }, () => imds.read(path, 'rest', soon())));
    equal(fake.tokens, 1);
  }));

test('a token is renewed at half its life, and an old one serves while no new one can be had', () =>
  met(async (imds, fake) => {
    fake.tokenSeconds = 3;
    fake.tree.set(path, 'text');
    const readUntil = async (tokens: number): Promise<void> => {
      const started = performance.now();
      while (fake.tokens < tokens && performance.now() - started < 30_000)
        equal(await imds.read(path, 'notices', soon()), 'text');
    };
    await readUntil(2);
    fake.tokenMood = 500;
    await readUntil(4);
    equal(fake.tokens, 4);
    equal(await imds.read(path, 'notices', soon()), 'text');
  }));

test('a service that forgot its tokens costs one more token and no failure', () =>
  met(async (imds, fake) => {
    fake.tree.set(path, 'text');
    await imds.read(path, 'notices', soon());
    fake.forgetTokens();
    equal(await imds.read(path, 'notices', soon()), 'text');
    equal(fake.tokens, 2);
  }));

for (const mood of [401, 500, 503, 'reset'] as const) {
  test(`a storm of ${mood} is outlived by trying again within the deadline`, () =>
    met(async (imds, fake) => {
      fake.tree.set(path, 'text');
      fake.mood = mood;
      const answer = imds.read(path, 'notices', soon());
      await asked(fake, 3);
      fake.mood = 'well';
      equal(await answer, 'text');
      equal(fake.bareReads, 0);
    }));

  test(`a storm of ${mood} that outlasts the deadline is a failure, not an absence`, () =>
    met(async (imds, fake) => {
      fake.mood = mood;
      await rejects(imds.read(path, 'notices', within(300)), { name: 'Failure' });
    }));
}

test('silence is given up at the deadline, and after it the next read works', () =>
  met(async (imds, fake) => {
    fake.tree.set(path, 'text');
    fake.mood = 'mute';
    await rejects(imds.read(path, 'notices', within(200)), { name: 'Failure' });
    fake.mood = 'well';
    equal(await imds.read(path, 'notices', soon()), 'text');
  }));

test('a slow answer on another path does not delay the notice', () =>
  met(async (imds, fake) => {
    fake.tree.set('meta-data/slow', 'slow').set(path, 'text');
    const answers = Promise.withResolvers<void>();
    fake.held.set('meta-data/slow', answers.promise);
    const slow = imds.read('meta-data/slow', 'rest', soon());
    await asked(fake, 1);
    equal(await imds.read(path, 'notices', soon()), 'text');
    answers.resolve();
    equal(await slow, 'slow');
  }));

test('a service that is switched off is denied at once, without another try', () =>
  met(async (imds, fake) => {
    fake.tokenMood = 403;
    await rejects(imds.read(path, 'notices', soon()), { kind: 'denied' });
    equal(fake.tokens, 1);
  }));

test('an answer larger than any of ours is refused', () =>
  met(async (imds, fake) => {
    fake.tree.set(path, 'x'.repeat(100_000));
    await rejects(imds.read(path, 'notices', soon()), { kind: 'invalid' });
  }));
