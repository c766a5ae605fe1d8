/** Streams that begin at random moments, as requests of many people do, until they are told to begin no more. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import OpenAI from 'openai';
import { durableFetch } from '../../../src/client/index.ts';
import type { Chance } from './chance.ts';
import { load } from './plan.ts';
import { converse, type Question, type Told } from './stream.ts';

/** `resumed`: how often its client went on at another node. */
export type Stream = Told & { readonly resumed: number };

export type Traffic = {
  /** Begun so far. */
  started(): number;
  /** Begins none any more; resolves with all when the last one has ended. */
  finish(): Promise<readonly Stream[]>;
};

type Options = {
  /** The base URLs that clients know. */
  readonly entries: readonly string[];
  /** Each client knows all of them, and goes on at another. */
  readonly durable: boolean;
  readonly ask: (chance: Chance) => Question;
};

export const clientOf = (baseURL: string, fetch: typeof globalThis.fetch = globalThis.fetch): OpenAI =>
  // Nothing is asked twice behind our back.
  new OpenAI({ baseURL, fetch, apiKey: 'none', maxRetries: 0 });

export function openTraffic({ entries, durable, ask }: Options, chance: Chance): Traffic {
  const plain = entries.map((baseURL) => clientOf(baseURL));
  const streams: Promise<Stream>[] = [];
  const stop = new AbortController();

  async function begin(): Promise<void> {
    while (!stop.signal.aborted) {
      streams.push(durable ? tellDurably(ask(chance)) : tell(chance.of(plain), ask(chance)));
      await pause(chance.exponential(1_000 / load.streamsPerSecond));
    }
  }

  async function tellDurably(question: Question): Promise<Stream> {
    let resumed = 0;
    const fetch = durableFetch(entries, { onResume: () => void resumed++ });
    const told = await tell(clientOf(entries[0]!, fetch), question);
    return { ...told, resumed };
  }

  const beginning = begin();
  return {
    started: () => streams.length,
    finish: async () => {
      stop.abort();
      await beginning;
      return Promise.all(streams);
    },
  };
}

/** What it heard is judged, and need not be kept. */
async function tell(client: OpenAI, question: Question): Promise<Stream> {
  const { heard, ...told } = await converse(client, question, randomUUID());
  return { ...told, resumed: 0 };
}
