/**
 * Every generation whose client is connected here. What happens to many at once comes in by this way: a member that
 * drains or dies, our own engine about to stop, the end of this node's relaying.
 */
import { noAbility } from '../std/ability.ts';
import { FleetingSet } from '../std/fleeting.ts';
import type { Json } from '../std/json.ts';
import { draw, type Rng } from '../std/random.ts';
import { everyone, giveBack, lackOf, newRoom, put, type Lack, type Room } from '../std/room.ts';
import { after, type Instant } from '../std/time.ts';
import { choicesApart } from '../stream/apart.ts';
import type { Endpoint } from '../stream/chunk.ts';
import { noRoom } from '../stream/refusal.ts';
import type { Engines } from '../stream/request.ts';
import type { OpenLeg } from './leg.ts';
import { fittedLegs, openFitting } from './fitting.ts';
import { openPlacing, type Placing } from './placing.ts';
import { once } from './once.ts';
import type { Clock } from './ports.ts';
import { promptOf } from './prompt.ts';
import { enter, type EnteringPorts } from './entering.ts';
import type { Journals } from './journals.ts';
import type { ClientEnd } from './client-end.ts';
import { Running, type About } from './running.ts';
import type { Admission, ServedModel, Serving } from './serving.ts';
import type { Stories } from './stories.ts';

/** Divided between keys; each costs some 50 kB at both ends together. */
export const generationsMax = 4_000;
/**
 * How often streams are seen to that have nothing to tell, ms: a silent one is heard of after twice as long at most, below
 * the patience of `synkti/client` (15 s) and of any load balancer.
 */
const keepOpenMs = 5_000;
/** Seeds that every engine takes. */
const seedMax = 2 ** 31;

type GenerationsPorts = {
  readonly serving: Serving;
  readonly openLeg: OpenLeg;
  readonly journals: Journals;
  readonly stories: Stories;
  readonly clock: Clock;
  readonly rng: Rng;
  /** At once. */
  readonly generationsMax: number;
};

/** A client's request for one answer, or several, of a model. */
export type Asked = {
  readonly endpoint: Endpoint;
  readonly model: string;
  readonly body: Json;
  /** The body as it came. */
  readonly raw: string;
};

/** What is no generation is placed by the same routing. */
export type Generations = Placing & {
  /** Whether one more may begin here, of what this owner has a part of. */
  admission(owner: string): Admission | { readonly open: false; readonly lack: Lack };
  /** Begins or refuses it. Call the result once, when the client has gone or has everything. */
  begin(asked: Asked, client: ClientEnd, about: About): () => void;
  count(): number;
  /** Ends every stream by an error event: their clients are lost with this node. */
  cut(): void;
  close(): void;
};

export function openGenerations(ports: GenerationsPorts): Generations {
  const { serving, openLeg, journals, stories, clock, rng } = ports;
  const all = new FleetingSet<Running>();
  /** Of choices that clients wait for, those among them that are only looked for, or made elsewhere. */
  const places = newRoom(ports.generationsMax);
  const nextSeed = seedsFrom(rng);
  let disarm = (): void => {};

  const placing = openPlacing({ serving, clock, rng });
  const { judge } = placing;

  const keeper = openKeeper(all, clock);
  const enginesOf = (model: string): Engines => enginesFrom(serving.model(model), nextSeed());

  const each = (act: (running: Running) => void): void => all.all().forEach(act);

  const run: EnteringPorts['run'] = (state, way, about, { body }) => {
    const fitting = openFitting({ model: state.model, prompt: promptOf(body) }, { serving, placing });
    const { place } = fitting;
    const legs = fittedLegs(openLeg, fitting);
    const running = new Running(state, way, about, { serving, openLeg: legs, clock, place, judge });
    const gone = all.add(running);
    keeper.arm();
    const leave = once(() => {
      running.clientLeft();
      gone();
    });
    return { running, leave };
  };

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
    keeper.stop,
  ];

  return {
    ...placing,
    admission: (owner) => {
      const admission = serving.admission();
      const lack = admission.open ? lackOf(places, owner, 1) : null;
      return lack === null ? admission : { open: false, lack };
    },
    begin: (asked, client, about) =>
      placed(places, { client, about, choices: choicesApart(asked) }, () =>
        enter(asked, client, about, { serving, journals, stories, clock, enginesOf, run }),
      ),
    count: () => all.size,
    cut,
    close: () => {
      disarm();
      for (const stop of unsubscribe) stop();
    },
  };
}

/** Sees to the streams that have nothing to tell, as long as there are any. */
function openKeeper(all: FleetingSet<Running>, clock: Clock) {
  let disarm: (() => void) | null = null;
  function arm(): void {
    disarm ??= clock.wakeAt(after(clock.now(), keepOpenMs), () => {
      disarm = null;
      for (const running of all.all()) running.keepOpen();
      if (all.size > 0) arm();
    });
  }
  return { arm, stop: () => disarm?.() };
}

function enginesFrom(model: ServedModel | null, seed: number): Engines {
  const { contextTokens: maxModelLen = null, ability = noAbility } = model ?? {};
  return { maxModelLen, ability, seed };
}

/** Begins it where there are places for it, and has them until its end; else refuses it. */
function placed(
  places: Room,
  asking: { readonly client: ClientEnd; readonly about: About; readonly choices: number },
  begin: () => () => void,
): () => void {
  const { client, about, choices } = asking;
  const { owner, place } = about;
  // The rest of an answer was let in with its beginning: of what is free nothing is kept from it.
  const lack = lackOf(places, place === null ? owner : everyone, choices);
  if (lack !== null) {
    about.spent?.(0);
    client.refuse(noRoom('running answers', lack));
    return () => {};
  }
  put(places, owner, choices);
  const leave = begin();
  return once(() => {
    giveBack(places, owner, choices);
    leave();
  });
}

/** Its own stream of chance: where requests go must not depend on how many drew a seed. */
function seedsFrom(rng: Rng): () => number {
  let now = rng;
  return () => {
    const [seed, next] = draw(now, seedMax);
    now = next;
    return seed;
  };
}
