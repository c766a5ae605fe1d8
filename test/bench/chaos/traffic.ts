/** Streams that begin at random moments, as requests of many people do, until they are told to begin no more. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import OpenAI from 'openai';
import { durableFetch } from '../../../src/client/index.ts';
import type { Chance } from './chance.ts';
import { load } from './plan.ts';
import { converse, type Told } from './stream.ts';

/** Nothing is asked twice behind our back. */
const usual = { apiKey: 'none', maxRetries: 0 };

export type Traffic = {
  /** Begun so far. */
  started(): number;
  /** Begins none any more; resolves with all when the last one has ended. */
  finish(): Promise<readonly Told[]>;
};

const topics = ['spot', 'zone', 'token', 'drain', 'peer', 'gossip', 'lease', 'engine', 'stream', 'journal'];

/** `entries`: the base URLs that clients know. `durable`: each client knows all of them, and goes on at another. */
export function openTraffic(
  { entries, durable }: { readonly entries: readonly string[]; readonly durable: boolean },
  chance: Chance,
): Traffic {
  const plain = entries.map((baseURL) => new OpenAI({ ...usual, baseURL }));
  const streams: Promise<Told>[] = [];
  const stop = new AbortController();

  async function begin(): Promise<void> {
    while (!stop.signal.aborted) {
      const id = randomUUID();
      const topic = `Tell me about ${chance.of(topics)} ${streams.length} and ${chance.of(topics)}.`;
      const tokens = chance.between(load.tokens.min, load.tokens.max);
      streams.push(tell({ id, topic, tokens }));
      await pause(chance.exponential(1_000 / load.streamsPerSecond));
    }
  }

  async function tell(asked: Parameters<typeof converse>[1]): Promise<Told> {
    if (!durable) return { ...(await converse(chance.of(plain), asked)), resumed: 0 };
    let resumed = 0;
    const fetch = durableFetch(entries, { onResume: () => void resumed++ });
    const told = await converse(new OpenAI({ ...usual, baseURL: entries[0]!, fetch }), asked);
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
