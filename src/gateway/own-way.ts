/**
 * The way to our own engine. One whose core is dead goes on answering for some seconds, by a status that a healthy engine
 * has for a bad request: so an answer of that kind, and a connection that breaks before any, is held until the engine's
 * health was asked. Of a dead one it is no answer. What else breaks, or is broken off by an error event, is passed on, and has
 * its health asked all the same.
 */
import type { Dispatcher } from 'undici';
import type { Serving } from '../node/serving.ts';
import { engineDead, type Way } from './way.ts';

/** What one that does not implement something says of itself is no sign (501). */
const deadly: ReadonlySet<number> = new Set([500, 502, 503, 504]);

/** How vLLM begins the event by which it breaks a stream off: no other follows, and none comes shortly before it. */
const errorEvent = 'data: {"error"';
/** By this byte of it nearly all events are told from it. */
const apartAt = errorEvent.indexOf('error');
const apart = errorEvent.charCodeAt(apartAt);

const beginsWithError = (part: Buffer): boolean =>
  part.toString('latin1', 0, errorEvent.length) === errorEvent;

export const ownWay = (engine: Way, serving: Pick<Serving, 'engineErred'>): Way => ({
  dispatch: (options, handler) => engine.dispatch(options, new Examined(handler, serving)),
});

type Head = Parameters<Required<Dispatcher.DispatchHandler>['onResponseStart']>;

/** A class because undici calls methods on it. */
class Examined implements Dispatcher.DispatchHandler {
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #serving: Pick<Serving, 'engineErred'>;
  #controller: Dispatcher.DispatchController | null = null;
  #hasHead = false;
  /** Nothing is told any more. */
  #isOver = false;

  constructor(handler: Dispatcher.DispatchHandler, serving: Pick<Serving, 'engineErred'>) {
    this.#handler = handler;
    this.#serving = serving;
  }

  onRequestStart(...start: Parameters<Required<Dispatcher.DispatchHandler>['onRequestStart']>): void {
    [this.#controller] = start;
    this.#handler.onRequestStart?.(...start);
  }

  onResponseStart(...head: Head): void {
    const [controller, status] = head;
    if (!deadly.has(status)) return this.#begin(head);
    controller.pause();
    this.#serving.engineErred((isDead) => {
      if (this.#isOver) return;
      if (isDead) return this.#lose(controller, engineDead());
      this.#begin(head);
      controller.resume();
    });
  }

  /** For each read of a stream: as it comes, without a list of it. */
  onResponseData(controller: Dispatcher.DispatchController, part: Buffer): void {
    if (part[apartAt] === apart && beginsWithError(part)) this.#serving.engineErred(() => {});
    this.#handler.onResponseData?.(controller, part);
  }

  onResponseEnd(...end: Parameters<Required<Dispatcher.DispatchHandler>['onResponseEnd']>): void {
    this.#isOver = true;
    this.#handler.onResponseEnd?.(...end);
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#isOver) return;
    // Another one than it began by: undici asked again, and that connection did not come to be.
    const isBegun = this.#controller !== null && controller === this.#controller;
    // Whoever wants it no more does not wait to hear that.
    if (isBegun && controller.aborted) return this.#lose(controller, error);
    const isHeld = isBegun && !this.#hasHead;
    this.#serving.engineErred((isDead) => {
      if (isHeld && !this.#isOver) this.#lose(controller, isDead ? engineDead() : error);
    });
    if (!isHeld) this.#lose(controller, error);
  }

  #begin(head: Head): void {
    this.#hasHead = head[1] >= 200;
    this.#handler.onResponseStart?.(...head);
  }

  #lose(controller: Dispatcher.DispatchController, error: Error): void {
    this.#isOver = true;
    this.#handler.onResponseError?.(controller, error);
    this.#controller?.abort(error);
  }
}
