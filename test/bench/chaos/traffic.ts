/** Streams that begin at random moments, as requests of many people do, until they are told to begin no more. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import OpenAI from 'openai';
import type { Chance } from './chance.ts';
import { load } from './plan.ts';
import { converse, type Told } from './stream.ts';

export type Traffic = {
  /** Begun so far. */
  started(): number;
  /** Begins none any more; resolves with all when the last one has ended. */
  finish(): Promise<readonly Told[]>;
};

const topics = ['spot', 'zone', 'token', 'drain', 'peer', 'gossip', 'lease', 'engine', 'stream', 'journal'];

/** `entries`: the base URLs that clients know. */
export function openTraffic(entries: readonly string[], chance: Chance): Traffic {
  const clients = entries.map((baseURL) => new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 }));
  const streams: Promise<Told>[] = [];
  const stop = new AbortController();

  async function begin(): Promise<void> {
    while (!stop.signal.aborted) {
      const id = randomUUID();
      const topic = `Tell me about ${chance.of(topics)} ${streams.length} and ${chance.of(topics)}.`;
      const tokens = chance.between(load.tokens.min, load.tokens.max);
      streams.push(converse(chance.of(clients), { id, topic, tokens }));
      await pause(chance.exponential(1_000 / load.streamsPerSecond));
    }
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
