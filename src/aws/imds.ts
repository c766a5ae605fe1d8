/**
 * The instance metadata service, version 2 only (AWS: "Use the Instance Metadata Service to access instance metadata").
 *
 * A token is fetched by one request for all who need it, renewed at half its life, and dropped at the first 401, after
 * which the read is tried again at once. What may pass (a 401 again, 5xx, throttling, a connection that broke, no
 * answer) is tried again with jitter for as long as the caller's signal allows. Version 1 is never spoken: an answer
 * without a token would be one that any process on this machine could be tricked into asking for.
 *
 * Interruption notices and tokens have a connection of their own: a slow answer on another path cannot delay them.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Client, type Dispatcher } from 'undici';
import { Failure, retryable } from '../std/failure.ts';
import { wallTime, type WallTime } from '../std/time.ts';

export type Imds = {
  /** The text at /latest/<path>; null: there is nothing (404). Failure when the signal came before an answer. */
  read(path: string, lane: Lane, signal: AbortSignal): Promise<string | null>;
  /** The same, and what time it is there; null: it did not say. */
  readDated(path: string, lane: Lane, signal: AbortSignal): Promise<Dated | null>;
  close(): Promise<void>;
};

type Dated = { readonly text: string; readonly at: WallTime | null };
type Lane = 'notices' | 'rest';
type Token = { readonly value: string; readonly renewAt: number; readonly expiresAt: number };

/** The longest life that the service grants; it says how much it really granted. */
const tokenSeconds = 21_600;
/** The service answers from memory within a few ms; a lost packet on the link-local network is told by its silence. */
const attemptMs = 1_000;
const retryBaseMs = 50;
const retryCapMs = 500;
/** The largest answer that we read is the identity document, about 500 bytes. */
const answerBytesMax = 65_536;

export const openImds = (endpoint: string): Imds => new MetadataClient(endpoint);

class MetadataClient implements Imds {
  readonly #lanes: Readonly<Record<Lane, Client>>;
  #token: Token | null = null;
  #fetching: Promise<Token> | null = null;

  constructor(endpoint: string) {
    const connect = (): Client =>
      new Client(endpoint, {
        pipelining: 1,
        keepAliveTimeout: 60_000,
        connect: { timeout: attemptMs },
        maxResponseSize: answerBytesMax,
      });
    this.#lanes = { notices: connect(), rest: connect() };
  }

  async read(path: string, lane: Lane, signal: AbortSignal): Promise<string | null> {
    return (await this.readDated(path, lane, signal))?.text ?? null;
  }

  async readDated(path: string, lane: Lane, signal: AbortSignal): Promise<Dated | null> {
    let failure = new Failure('late', `imds ${path}: late: no time was left`);
    for (let tries = 0; !signal.aborted; tries++) {
      try {
        let answer = await this.#attempt(path, lane, signal);
        if (answer.status === 401) answer = await this.#attempt(path, lane, signal);
        if (answer.status === 200) return answer;
        if (answer.status === 404) return null;
        failure = refusal(path, answer.status);
      } catch (error) {
        failure = broken(path, error);
      }
      if (!retryable(failure.kind)) throw failure;
      await pauseWithin(Math.random() * Math.min(retryCapMs, retryBaseMs * 2 ** Math.min(tries, 8)), signal);
    }
    throw failure;
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.#lanes).map((client) => client.destroy()));
  }

  async #attempt(path: string, lane: Lane, signal: AbortSignal): Promise<Answer> {
    const used = await this.#freshToken();
    const headers = { 'x-aws-ec2-metadata-token': used };
    const answer = await this.#ask(lane, { path: `/latest/${path}`, method: 'GET', headers }, signal);
    if (answer.status === 401 && this.#token?.value === used) this.#token = null;
    return answer;
  }

  async #freshToken(): Promise<string> {
    if (this.#token !== null && performance.now() < this.#token.renewAt) return this.#token.value;
    try {
      this.#fetching ??= this.#fetchToken().finally(() => (this.#fetching = null));
      this.#token = await this.#fetching;
    } catch (error) {
      // The old one serves as long as it lives.
      if (this.#token === null || performance.now() > this.#token.expiresAt) throw error;
    }
    return this.#token.value;
  }

  async #fetchToken(): Promise<Token> {
    const headers = { 'x-aws-ec2-metadata-token-ttl-seconds': String(tokenSeconds) };
    const request = { path: '/latest/api/token', method: 'PUT', headers } as const;
    // Its signal is its own: many wait for this one answer, each with a deadline of its own.
    const answer = await this.#ask('notices', request, AbortSignal.timeout(attemptMs));
    if (answer.status !== 200) throw refusal('token', answer.status);
    const lifeMs = (answer.ttlSeconds ?? tokenSeconds) * 1_000;
    const now = performance.now();
    return { value: answer.text.trim(), renewAt: now + lifeMs / 2, expiresAt: now + lifeMs };
  }

  async #ask(lane: Lane, request: Dispatcher.RequestOptions, signal: AbortSignal): Promise<Answer> {
    const limits = AbortSignal.any([signal, AbortSignal.timeout(attemptMs)]);
    const { statusCode, headers, body } = await this.#lanes[lane].request({ ...request, signal: limits });
    const ttl = Number(headers['x-aws-ec2-metadata-token-ttl-seconds']);
    const date = Date.parse(String(headers['date']));
    return {
      status: statusCode,
      ttlSeconds: Number.isFinite(ttl) ? ttl : null,
      at: Number.isNaN(date) ? null : wallTime(date),
      text: await body.text(),
    };
  }
}

type Answer = Dated & { readonly status: number; readonly ttlSeconds: number | null };

/** 401 counts as passing: the service forgets tokens when it restarts, and says so until a new one is fetched. */
function refusal(path: string, status: number): Failure {
  const kind =
    status === 403 ? 'denied' : status === 401 || status === 429 || status >= 500 ? 'busy' : 'invalid';
  return new Failure(kind, `imds ${path}: ${kind}: status ${status}`);
}

function broken(path: string, error: unknown): Failure {
  if (error instanceof Failure) return error;
  const { code, name } = error as NodeJS.ErrnoException;
  const kind = code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE' ? 'invalid' : 'unreachable';
  return new Failure(kind, `imds ${path}: ${kind}: ${code ?? name}`, error);
}

/** Returns early when the signal aborts: the caller then says why, not we. */
async function pauseWithin(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => undefined);
}
