/**
 * B1: a monitor that asked for the notice without a token got 401 from every current AMI, ignored it, and never saw an
 * interruption. Here the service speaks version 2 only, and has its bad days just when the notice comes.
 */
import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { actionPath, until, watched, type Watched } from './watched-instance.ts';

/** Longer than anything here takes on a busy machine. */
const patienceMs = 30_000;

/** Acted on by what is read of it first: one read was under way before, and one token may be refused. */
async function seen({ announced, imds }: Watched): Promise<void> {
  const reads = (): number => imds.reads.filter((path) => path === actionPath).length;
  const before = reads();
  await until('the notice is acted on', () => announced.length > 0, patienceMs);
  ok(reads() - before <= 3, `${reads() - before} reads`);
}

const readTwice = ({ imds }: Watched): Promise<number> =>
  until('the watch runs', () => imds.reads.filter((path) => path === actionPath).length > 1, patienceMs);

test('[B1] the notice of an instance that answers version 2 only is acted on as soon as it is read', () =>
  watched(async (instance) => {
    await readTwice(instance);
    const sentAt = Date.now();
    instance.notice('terminate', 120_000);
    await seen(instance);
    const [first] = instance.announced;
    equal(first?.reason, 'interruption');
    ok(Math.abs((first?.deadline ?? 0) - (sentAt + 120_000)) < 10_000);
    equal(instance.imds.bareReads, 0, 'never asked without a token');
  }));

test('[B1] tokens that expire again and again cost no notice', () =>
  watched(async (instance) => {
    instance.imds.tokenSeconds = 1;
    instance.imds.forgetTokens();
    await until('tokens are renewed', () => instance.imds.tokens >= 3, patienceMs);
    instance.notice('terminate', 120_000);
    await seen(instance);
    equal(instance.imds.bareReads, 0);
  }));

test('[B1] a token that the service forgot is replaced, and the notice behind it acted on', () =>
  watched(async (instance) => {
    await readTwice(instance);
    instance.imds.forgetTokens();
    instance.notice('terminate', 120_000);
    await seen(instance);
    equal(instance.imds.bareReads, 0);
  }));

for (const mood of [401, 500, 'reset', 'mute'] as const) {
  test(`[B1] a notice that comes in a storm of ${mood} is acted on as soon as the storm is over`, () =>
    watched(async (instance) => {
      const { imds, announced } = instance;
      await readTwice(instance);
      imds.mood = mood;
      instance.notice('terminate', 120_000);
      const reads = imds.reads.length;
      await until(
        'the storm is felt',
        () => imds.reads.length > reads + (mood === 'mute' ? 0 : 3),
        patienceMs,
      );
      equal(announced.length, 0);
      imds.mood = 'well';
      await seen(instance);
      equal(imds.bareReads, 0);
    }));
}

test('[B1] a service that gives out no tokens for a while is asked again, never without one', () =>
  watched(async (instance) => {
    const { imds } = instance;
    imds.tokenMood = 503;
    imds.forgetTokens();
    const tokens = imds.tokens;
    instance.notice('terminate', 120_000);
    await until('it is asked again', () => imds.tokens > tokens + 3, patienceMs);
    imds.tokenMood = 'well';
    await seen(instance);
    equal(imds.bareReads, 0);
  }));
