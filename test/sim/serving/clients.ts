/** Who asks what, where and when: drawn before the run, but for the entry node, which is one that lives by then. */
import type { Dice } from '../dice.ts';
import { contextTokens, expected, model } from './answer.ts';
import { SimClient, type Wish } from './client.ts';
import { DurableClient } from './durable.ts';
import { PlainClient } from './plain.ts';
import type { Promises } from './promises.ts';
import type { Site } from './site.ts';
import type { Station } from './station.ts';

const tokens = { least: 5, most: 45 };
/** Of clients that go away in the middle, and within which time, ms. */
const leavingShare = 0.05;
const leavingMs = 8_000;
/** Of clients that go on elsewhere by themselves; how many nodes they know, and what they take for silence, ms. */
const durableShare = 0.4;
const urlsMost = 5;
/** Of those that draw and go on from ids. */
const severalShare = 0.3;
const silencesMs = [2_000, 5_000, 15_000];
const words = 'the of and to in is was on at for with as by from that this they we it lamp river stone'.split(
  ' ',
);

type Span = { readonly from: number; readonly until: number };

export class Clients {
  readonly #site: Site;
  readonly #promises: Promises;
  readonly #broken: (what: string) => void;

  constructor(site: Site, promises: Promises, onBroken: (what: string) => void) {
    this.#site = site;
    this.#promises = promises;
    this.#broken = onBroken;
  }

  plan(count: number, { from, until }: Span): void {
    const { dice, world } = this.#site;
    const its = dice.for('clients');
    for (let i = 0; i < count; i++) {
      const own = its.for(i);
      world.at(own.between(from, until), () => this.#come(`c${i}`, own));
    }
  }

  #come(id: string, dice: Dice): void {
    const { world } = this.#site;
    const here = this.#site.living().filter(({ place }) => world.on(place.host)?.joined === true);
    if (here.length === 0) return;
    const entry = dice.pick(here);
    const client = new SimClient(
      { id, wish: drawWish(dice), entry, goesOn: dice.hits(durableShare) },
      { broken: this.#broken, end: (ended) => this.#onEnd(ended) },
    );
    this.#promises.enter(client);
    const { outside, wires } = this.#site;
    if (client.goesOn) this.#askDurably(client, dice);
    else new PlainClient(client, { place: outside, wires, now: () => world.now }).ask(entry);
    if (dice.hits(leavingShare))
      outside.process.receive(world.now + dice.unit() * leavingMs, () => client.finish('left'));
  }

  #askDurably(client: SimClient, dice: Dice): void {
    const { outside, wires } = this.#site;
    const others = dice.shuffled(this.#site.living()).filter((station) => station !== client.entry);
    const urls = [client.entry, ...others].slice(0, urlsMost).map(({ id }) => id);
    const front = (id: string): Station | null => this.#site.station(id);
    const tell = this.#promises.custody;
    const durable = new DurableClient(
      client,
      { urls, silenceMs: dice.pick(silencesMs) },
      { place: outside, wires, front, tell },
    );
    durable.seek();
  }

  #onEnd(client: SimClient): void {
    const { digest } = this.#site.world;
    digest.text(`${client.id} ${client.end} ${client.heard}`);
    this.#promises.leave(client);
  }
}

function drawWish(dice: Dice): Wish {
  const text = Array.from({ length: 3 + dice.below(20) }, () => dice.pick(words)).join(' ');
  const most = tokens.least + dice.below(tokens.most - tokens.least);
  const isChat = dice.hits(0.4);
  const isWhole = dice.hits(0.1);
  const body = {
    ...{ model, stream: dice.hits(0.9) },
    ...(isChat ? { messages: [{ role: 'user', content: text }] } : { prompt: text }),
    ...(isChat ? { max_completion_tokens: most } : { max_tokens: most }),
    ...(dice.hits(0.5) ? { temperature: 0 } : { temperature: 1, seed: dice.below(1_000) }),
    // What an engine remembers of its output; this one does not mind.
    ...(isWhole ? { presence_penalty: 0.5 } : {}),
    ...(dice.hits(0.5) ? { return_token_ids: true } : {}),
  };
  const path = isChat ? ('/v1/chat/completions' as const) : ('/v1/completions' as const);
  const usage = body.stream && dice.hits(0.5) ? { stream_options: { include_usage: true } } : {};
  const stop = dice.hits(0.2) ? { stop: drawStop(expected(path, body).text, dice) } : {};
  const several = dice.for('choices');
  const isSeveral = !isWhole && body.temperature > 0 && several.hits(severalShare);
  const choices = isSeveral ? { n: 2 + several.below(2) } : {};
  return { path, way: isWhole ? 'whole' : 'ids', body: { ...body, ...usage, ...stop, ...choices } };
}

/** Something that the answer is going to say. */
function drawStop(text: string, dice: Dice): string {
  const chars = [...text];
  const from = Math.floor(chars.length / 2) + dice.below(Math.max(1, Math.floor(chars.length / 2) - 4));
  return chars.slice(from, from + 1 + dice.below(4)).join('') || contextTokens.toString();
}
