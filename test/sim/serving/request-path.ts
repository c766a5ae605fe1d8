/** The request path of a run: nodes that serve, clients that ask, and the promises that both are held to. */
import type { Codec } from '../../../src/node/message.ts';
import type { Dice } from '../dice.ts';
import type { Inhabit } from '../resident.ts';
import type { Sabotage } from '../sabotage.ts';
import type { World } from '../world.ts';
import { Clients } from './clients.ts';
import { Promises, type StreamCounts } from './promises.ts';
import { Site } from './site.ts';
import { servingNode } from './station.ts';

type Options = {
  readonly dice: Dice;
  readonly codec: Codec;
  /** Nodes read the instance metadata. */
  readonly readsNotices: boolean;
  readonly sabotage: Sabotage | null;
  readonly onBroken: (promise: string, what: string) => void;
};

export class RequestPath {
  readonly inhabit: Inhabit;
  readonly #options: Options;
  readonly #promises: Promises;
  #site: Site | null = null;

  constructor(options: Options) {
    this.#options = options;
    const site = (): Site => this.#site!;
    this.#promises = new Promises(site, options.onBroken);
    this.inhabit = servingNode({ site, promises: this.#promises, codec: options.codec });
  }

  /** Before the first node starts. */
  open(world: World, streams: number, span: { readonly from: number; readonly until: number }): void {
    const { dice, onBroken } = this.#options;
    const site = new Site(world, dice, this.#options);
    this.#site = site;
    const clients = new Clients(site, this.#promises, (what) => onBroken('R1', what));
    clients.plan(streams, span);
  }

  counts(): StreamCounts {
    return this.#promises.counts();
  }

  /** Somebody still waits for an answer. */
  isAwaited(): boolean {
    return this.#promises.isAwaited();
  }

  settle(): void {
    this.#promises.atTheEnd();
  }
}
