/**
 * Every generation whose client is connected here. What happens to many at once comes in by this way: a member that
 * drains or dies, our own engine about to stop, the end of this node's relaying.
 */
import type { Clock } from '../node/ports.ts';
import type { Serving } from '../node/serving.ts';
import { choose } from '../routing/choose.ts';
import type { Rng } from '../std/random.ts';
import type { Instant } from '../std/time.ts';
import type { GenerationRequest } from '../stream/request.ts';
import type { Outlet } from './outlet.ts';
import { Running, type About, type RunningPorts } from './running.ts';

export type GenerationPorts = {
  readonly serving: Serving;
  readonly dispatcherTo: RunningPorts['dispatcherTo'];
  readonly clock: Clock;
  readonly rng: Rng;
};

export type Generations = {
  begin(request: GenerationRequest, outlet: Outlet, about: About): void;
  count(): number;
  /** Ends every stream by an error event: their clients are lost with this node. */
  cut(): void;
  close(): void;
};

export function openGenerations({ serving, dispatcherTo, clock, rng: seed }: GenerationPorts): Generations {
  const all = new Set<Running>();
  let rng = seed;
  let disarm = (): void => {};

  const place: RunningPorts['place'] = (model, wish) => {
    const standing = serving.models().find(({ id }) => id === model) ?? null;
    const [choice, next] = choose(standing, wish, rng);
    rng = next;
    return choice;
  };

  function each(act: (running: Running) => void): void {
    for (const running of [...all]) act(running);
  }

  const cut = (): void => each((running) => running.cut());

  function onRelayEnd(at: Instant): void {
    disarm();
    disarm = (): void => {};
    if (at <= clock.now()) cut();
    else disarm = clock.wakeAt(at, cut);
  }

  const unsubscribe = [
    serving.onMove((member, cause) => each((running) => running.move(member, cause))),
    serving.onCut(() => each((running) => running.breakOff(serving.self))),
    serving.onRelayEnd(onRelayEnd),
  ];

  return {
    begin: (request, outlet, about) => {
      const running = new Running(request, outlet, about, { serving, dispatcherTo, clock, place });
      const left = serving.entered();
      all.add(running);
      outlet.response.on('close', () => {
        running.clientLeft();
        all.delete(running);
        left();
      });
      running.begin();
    },
    count: () => all.size,
    cut,
    close: () => {
      disarm();
      for (const stop of unsubscribe) stop();
    },
  };
}
