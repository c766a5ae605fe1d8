import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { Event, Order } from '../../src/engine/orders.ts';
import { LocalEngine } from '../../src/node/local-engine.ts';
import { obliging } from '../engine/world.ts';
import { VirtualClock } from './world.ts';

/** Ready, and asked for its health as often as `asked` has answers. */
async function ready() {
  const clock = new VirtualClock();
  const asked: ((event: Event) => void)[] = [];
  const perform = (order: Order, answer: (event: Event) => void): void => {
    if (order.type === 'check') return void asked.push(answer);
    const event = obliging(order);
    if (event !== null) answer(event);
  };
  const engine = new LocalEngine({
    host: { perform, close: () => Promise.resolve() },
    ...{ expectedModels: [], readyMs: 60_000, rng: { seed: 1 }, clock, report: () => {} },
  });
  engine.start();
  await clock.run(1_000);
  const told: string[] = [];
  const err = (name: string): void => engine.erred((isDead) => told.push(`${name} ${isDead}`));
  const tell = (isDead: boolean, life = 2): void =>
    asked.shift()?.({ type: 'checked', life, isDead, cause: null });
  return { engine, clock, err, tell, told };
}

test('[E14] who asks whether the engine is dead hears what it said when it was asked after that', async () => {
  const { clock, err, tell, told } = await ready();
  err('a');
  err('b');
  tell(false);
  deepEqual(told, ['a false'], 'who came while it was asked waits for the next time');
  await clock.run(1_000);
  err('c');
  tell(true);
  deepEqual(told.toSorted(), ['a false', 'b true', 'c true']);
});

test('[E14] an answer that took long is none for whoever came while it was on its way', async () => {
  const { clock, err, tell, told } = await ready();
  err('a');
  await clock.run(500);
  err('b');
  // By now the next question is due, and is put before anybody hears of this one.
  tell(false);
  deepEqual(told, ['a false']);
  tell(true);
  deepEqual(told, ['a false', 'b true']);
});

test('[E14] where it is not ready any more, whoever waits hears so at once', async () => {
  const { engine, err, told } = await ready();
  err('a');
  err('b');
  void engine.stop(1_000);
  deepEqual(told, ['a true', 'b true']);
  err('c');
  deepEqual(told, ['a true', 'b true', 'c true']);
});
