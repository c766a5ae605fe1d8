import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { commit, manifestKey, type Effect } from '../../src/node/commit.ts';
import { Holding } from '../../src/node/holding.ts';
import type { LeaseStore } from '../../src/node/ports.ts';
import { memberId } from '../../src/std/member-id.ts';
import { Host, VirtualWorld } from '../lease/virtual-world.ts';
import { VirtualS3, type Weather } from '../lease/virtual-s3.ts';

const fair: Weather = { way: 10, back: 10, answer: 'right' };
const key = manifestKey('scale');

class Setting {
  readonly world = new VirtualWorld();
  readonly host = new Host(this.world, { rate: 1, wallMs: 0 });
  /** Of the calls to come, one each; then it is fair. */
  readonly weather: Weather[] = [];
  readonly s3 = new VirtualS3(
    (ms, work) => this.world.after(ms, work),
    () => {},
  );
  readonly store: LeaseStore = this.s3.storeOf(
    () => this.weather.shift() ?? fair,
    (work) => this.host.deliver(work),
  );

  async commit(effect: Partial<Effect>): Promise<unknown> {
    const whole: Effect = {
      duty: 'scale',
      epoch: 5,
      nonce: 'run.1',
      content: 'x',
      held: () => true,
      ...effect,
    };
    const ports = { clock: this.host.clock, store: this.store, rng: { seed: 13 } };
    const done = commit(whole, ports, new AbortController().signal);
    done.catch(() => undefined); // whoever awaits it hears of it
    await this.world.run(this.world.now + 60_000, () => {});
    return done;
  }

  content(): string {
    return JSON.parse(this.s3.objects.get(key)!.body).content;
  }
}

test('[L13] a commit replaces what a lower or the same epoch has committed, and no higher one', async () => {
  const setting = new Setting();
  deepEqual(await setting.commit({ epoch: 5, content: 'a' }), { type: 'committed' });
  deepEqual(await setting.commit({ epoch: 5, nonce: 'run.2', content: 'b' }), { type: 'committed' });
  deepEqual(await setting.commit({ epoch: 7, nonce: 'other.1', content: 'c' }), { type: 'committed' });
  deepEqual(await setting.commit({ epoch: 6, nonce: 'run.3', content: 'd' }), { type: 'refused', by: 7 });
  equal(setting.content(), 'c');
});

test('[L13] a commit that the lease has ended for is not written', async () => {
  const setting = new Setting();
  deepEqual(await setting.commit({ held: () => false }), { type: 'not-held' });
  equal(setting.s3.objects.size, 0);
});

test('[L13] a commit whose answer was lost is found again, and is one commit', async () => {
  const setting = new Setting();
  setting.weather.push(fair, { ...fair, back: null });
  deepEqual(await setting.commit({}), { type: 'committed' });
  setting.weather.push(fair, { ...fair, answer: 'broken' });
  deepEqual(await setting.commit({ nonce: 'run.2', content: 'y' }), { type: 'committed' });
  equal(setting.content(), 'y');
});

test('[L13] SlowDown and conflicts are met again later', async () => {
  const setting = new Setting();
  setting.weather.push({ ...fair, answer: 'refused' }, fair, { ...fair, answer: 'conflict' });
  deepEqual(await setting.commit({}), { type: 'committed' });
});

test('[L13] what became of a lost write is not guessed when the lease ends meanwhile', async () => {
  const setting = new Setting();
  setting.weather.push(fair, { ...fair, way: null });
  let asked = 0;
  deepEqual(await setting.commit({ held: () => (asked += 1) === 1 }), { type: 'unsure', by: null });
});

test('[L13] [L12] who finds a higher epoch where the answer to its write was lost is unsure of it, and holds nothing', async () => {
  const setting = new Setting();
  const { world, host, store } = setting;
  const about = { duty: 'scale', self: memberId('i-a'), run: 'run', ttlMs: 12_000, rank: 0 };
  const ports = { clock: host.clock, store, rng: { seed: 13 }, report: () => {} };
  const duty = new Holding(about, ports);
  const held: (number | null)[] = [];
  duty.changed.add((now) => held.push(now?.epoch ?? null));
  await world.run(20_000, () => {});
  setting.weather.push(fair, { ...fair, way: null });
  const heirs = JSON.stringify({ epoch: 7, nonce: 'other.1', content: 'c' });
  world.after(500, () => setting.s3.objects.set(key, { body: heirs, etag: '"7"' }));
  const done = duty.commit('x', new AbortController().signal);
  await world.run(30_000, () => {});
  deepEqual(await done, { type: 'unsure', by: 7 });
  deepEqual(held, [1, null, 8], 'and then above what was found');
  duty.close();
});

test('[L13] S3 away for long is a Failure when nothing was written', async () => {
  const setting = new Setting();
  for (let call = 0; call < 20; call += 1) setting.weather.push({ ...fair, answer: 'refused' });
  await rejects(setting.commit({}), { kind: 'busy' });
  equal(setting.s3.objects.size, 0);
});

test('[L13] a manifest that makes no sense is left alone', async () => {
  const setting = new Setting();
  setting.s3.objects.set(key, { body: 'no json', etag: '"1"' });
  await rejects(setting.commit({}), { kind: 'invalid' });
  equal(setting.s3.objects.get(key)?.body, 'no json');
});

test('a commit that is given up before it began says so, and nothing of others', async () => {
  const setting = new Setting();
  const effect: Effect = { duty: 'scale', epoch: 5, nonce: 'run.1', content: 'x', held: () => true };
  const ports = { clock: setting.host.clock, store: setting.store, rng: { seed: 13 } };
  await rejects(commit(effect, ports, AbortSignal.abort()), {
    kind: 'late',
    message: 'commit scale under epoch 5: late: given up',
  });
  equal(setting.s3.objects.size, 0);
});
