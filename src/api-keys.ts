/**
 * Where the API keys of this node come from, and how they change while it runs: a file is looked at every second, the
 * parameter of SSM every minute, both on SIGHUP, which ends no node. A list that cannot be read or makes no sense changes
 * nothing, and is said; at the start it ends the node, because an API must not stand open by mistake.
 */
import { readFile, stat } from 'node:fs/promises';
import type { ReadParameter } from './aws/parameters.ts';
import { apiKeysFrom } from './config/api-keys.ts';
import type { KeySource } from './config/kinds.ts';
import { keyTable, type KeyTable } from './gateway/keys.ts';
import type { Report } from './node/facts.ts';
import { Failure, messageOf } from './std/failure.ts';

const fileMs = 1_000;
const parameterMs = 60_000;
/** For one look at either. */
const readMs = 10_000;
/** Of a file that changes each time while it is read; then it is left to the next look. */
const readsMax = 5;

export type ApiKeys = {
  table(): KeyTable | null;
  /** Looks now. Never throws. */
  reload(): Promise<void>;
  close(): void;
};

/** There is no list. */
export function openToAll(report: Report): ApiKeys {
  report({ fact: 'keys.absent', why: 'the API is open to whoever reaches it' });
  return {
    table: () => null,
    reload: () => {
      report({
        fact: 'keys.absent',
        why: 'there is no list of keys to read again, and the API is open to all',
      });
      return Promise.resolve();
    },
    close: () => {},
  };
}

type Place = {
  readonly name: string;
  readonly everyMs: number;
  /** What differs when the text may differ; null: only the text itself tells. */
  readonly mark: () => Promise<string | null>;
  readonly read: () => Promise<string>;
};

/** Failure when there is no list to begin with. */
export async function openApiKeys(
  source: KeySource,
  ports: { readonly cluster: string; readonly readParameter: ReadParameter | null; readonly report: Report },
): Promise<ApiKeys> {
  const place = source.from === 'file' ? fileAt(source.path) : parameterOf(ports);
  const { report } = ports;
  let { mark, text } = await readStill(place);
  const keys = apiKeysFrom(text, place.name);
  let table = keyTable(keys);
  report({ fact: 'keys.loaded', from: place.name, keys: keys.length });
  let refused: string | null = null;

  /** Resolves with why nothing has changed; null: it is the list now. */
  async function take(): Promise<string | null> {
    try {
      const now = await readStill(place);
      // One that could not be read is read again, though nothing else of it changes.
      mark = now.mark;
      if (now.text === text) return null;
      const keys = apiKeysFrom(now.text, place.name);
      text = now.text;
      table = keyTable(keys);
      report({ fact: 'keys.loaded', from: place.name, keys: keys.length });
      return null;
    } catch (error) {
      return messageOf(error);
    }
  }

  async function reload(): Promise<void> {
    refused = await take();
    if (refused !== null) report({ fact: 'keys.refused', why: refused });
  }

  /** Unasked, the same complaint is said once: a file that is gone stays gone for many a second. */
  async function look(): Promise<void> {
    const now = await place.mark().catch(() => 'unreadable');
    if (now !== null && now === mark) return;
    const why = await take();
    if (why !== null && why !== refused) report({ fact: 'keys.refused', why });
    refused = why;
  }

  let isLooking = false;
  const timer = setInterval(() => {
    if (isLooking) return;
    isLooking = true;
    void look().finally(() => (isLooking = false));
  }, place.everyMs);
  timer.unref();
  return { table: () => table, reload, close: () => clearInterval(timer) };
}

/** What is written while it is read may be half of a list, which would shut out the other half. */
async function readStill(place: Place): Promise<{ readonly mark: string | null; readonly text: string }> {
  let before = await place.mark();
  for (let reads = 0; reads < readsMax; reads++) {
    const text = await place.read();
    const mark = await place.mark();
    if (mark === before) return { mark, text };
    before = mark;
  }
  throw new Failure('busy', `read API keys of ${place.name}: busy: it changes while it is read`);
}

function fileAt(path: string): Place {
  const failure = (error: unknown): Failure => {
    const { code = '' } = error as NodeJS.ErrnoException;
    const kind = code === 'ENOENT' ? 'missing' : 'denied';
    return new Failure(kind, `read API keys of ${path}: ${kind}: ${code}`, error);
  };
  return {
    name: path,
    everyMs: fileMs,
    mark: async () => {
      const { mtimeMs, size, ino } = await stat(path).catch((error: unknown) =>
        Promise.reject(failure(error)),
      );
      return `${mtimeMs} ${size} ${ino}`;
    },
    read: () => readFile(path, 'utf8').catch((error: unknown) => Promise.reject(failure(error))),
  };
}

function parameterOf({
  cluster,
  readParameter,
}: {
  readonly cluster: string;
  readonly readParameter: ReadParameter | null;
}): Place {
  const name = `/synkti/${cluster}/api-keys`;
  if (readParameter === null)
    throw new Failure('invalid', `read parameter ${name}: invalid: this node is not on EC2`);
  return {
    ...{ name, everyMs: parameterMs },
    mark: () => Promise.resolve(null),
    read: () => readParameter(name, AbortSignal.timeout(readMs)),
  };
}
