import { deepEqual, equal } from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import type { Dispatcher } from 'undici';
import { AnsweringLine } from '../../src/wire/answering.ts';
import { AskingLine } from '../../src/wire/asking.ts';
import { until } from '../gateway/fake-cluster.ts';

const places = ['onResponseStart', 'onResponseData', 'onResponseEnd', 'nowhere'] as const;

/** Throws at one place of its call. */
class Defective implements Dispatcher.DispatchHandler {
  end = '';
  readonly #place: string;

  constructor(place: (typeof places)[number]) {
    this.#place = place;
  }

  onRequestStart(): void {}
  onResponseStart = (): void => this.#hear('onResponseStart');
  onResponseData = (): void => this.#hear('onResponseData');

  onResponseEnd(): void {
    this.#hear('onResponseEnd');
    this.end = 'whole';
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.end = error.message;
  }

  #hear(place: string): void {
    if (place === this.#place) throw new Error(`a defect ${place}`);
  }
}

test('what the handler of a call throws costs that call, and no other of its line', async (t) => {
  const sockets = duplexPair();
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  const asking = new AskingLine(sockets[0], () => {});
  new AnsweringLine(sockets[1], Buffer.alloc(0), {
    held: { bytes: 0 },
    onCall: (call) => {
      call.answer(200, {});
      call.write(Buffer.from('a token'));
      call.end();
    },
    onStuck: () => {},
    onClosed: () => {},
  });
  const heard = places.map((place) => {
    const one = new Defective(place);
    asking.dispatch({ method: 'POST', path: '/' }, one);
    return one;
  });
  await until(() => heard.every(({ end }) => end !== ''), 'all are over', 30_000);
  deepEqual(
    heard.map(({ end }) => end),
    [...places.slice(0, 3).map((place) => `a defect ${place}`), 'whole'],
  );
  equal(asking.isOpen, true);
});
